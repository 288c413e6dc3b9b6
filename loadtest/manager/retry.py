"""Whether a statement may be sent again, and when. Pure, but for a backoff of the user's own."""

from typing import Any

from loadtest.manager.errors import QueryTimeout
from loadtest.manager.fate import Fate, is_undone_whole
from loadtest.manager.options import Options
from loadtest.manager.result import Ended


class Retries:
    """Of one statement outside a transaction, which the caller marked ``idempotent`` or did not.

    ``retries_count`` counts those after a transient error, ``wait_s`` is the wait before the next one.
    ``unknown`` is the error after which the statement was sent again with its fate unknown.
    """

    __slots__ = ("_idempotent", "_options", "_resends_count", "_sql", "retries_count", "unknown", "wait_s")

    def __init__(self, options: Options, sql: str, idempotent: bool) -> None:
        self._options = options
        self._sql = sql
        self._idempotent = idempotent
        self._resends_count = 0
        self.retries_count = 0
        self.wait_s = 0.0
        self.unknown: Exception | None = None

    def may_send_again(self, ended: Ended) -> bool:
        """At once, over another connection, and only once.

        One that ran out of time is still running somewhere, with its locks.
        """
        if self._resends_count or isinstance(ended.error, QueryTimeout):
            return False
        if not self._options.policy.may_send_again(ended.fate, self._idempotent):
            return False
        if ended.fate is Fate.UNKNOWN:
            self.unknown = ended.error
        self._resends_count += 1
        return True

    def may_move(self, connection: Any, may_be_replaced: bool) -> bool:
        """At once, over a connection to a server that writes: this one answered that it does not.

        ``may_be_replaced`` is what :meth:`Session.may_be_replaced` says of the session.
        """
        if self._resends_count or not may_be_replaced or not is_undone_whole(self._sql, connection):
            return False
        self._resends_count += 1
        return True

    def may_retry(self, error: Exception, connection: Any, left_s: float | None) -> bool:
        """After a wait of ``wait_s``. ``left_s``: until the deadline; None: there is none."""
        options = self._options
        is_harmless = self._idempotent or is_undone_whole(self._sql, connection)
        if self.retries_count >= options.max_query_retries:
            return False
        if not options.policy.may_retry(error, is_harmless):
            return False
        self.retries_count += 1
        policy, backoff = options.policy, options.query_wait_s
        wait_s = policy.retry_wait_s(backoff, self.wait_s, self.retries_count, left_s)
        self.wait_s = wait_s or 0.0
        return wait_s is not None
