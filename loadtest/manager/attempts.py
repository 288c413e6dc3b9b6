"""Whether a statement may be sent again, and when. Pure, but for the user's own backoff."""

from typing import Any

from loadtest.manager.errors import (
    CLASSIC_QUERY_RETRIED,
    TRANSIENT,
    Fate,
    QueryTimeout,
    code_of,
    is_undone_whole,
)
from loadtest.manager.options import Options
from loadtest.manager.policy import Classic
from loadtest.manager.running import Ended


class Attempts:
    """Of one statement outside a transaction. ``retries_count`` counts those after a transient error."""

    __slots__ = ("_idempotent", "_options", "_resends_count", "_sql", "retries_count", "unknown", "wait_s")

    def __init__(self, options: Options, sql: str, idempotent: bool) -> None:
        self._options = options
        self._sql = sql
        self._idempotent = idempotent
        self._resends_count = 0
        self.retries_count = 0
        self.wait_s = 0.0
        self.unknown: Exception | None = None  # the statement was sent before, and nobody knows its fate

    def may_resend(self, ended: Ended) -> bool:
        """At once, over another connection, and only once.

        The published module runs a statement again whose answer was lost, a write as well. One that ran
        out of time is still running somewhere, with its locks.
        """
        if self._resends_count or isinstance(ended.error, QueryTimeout):
            return False
        allowed = self._idempotent or isinstance(self._options.policy, Classic)
        if ended.fate is Fate.UNKNOWN and allowed:
            self.unknown = ended.error
        elif ended.fate is not Fate.NOT_SENT:
            return False
        self._resends_count += 1
        return True

    def may_move(self, held: Any) -> bool:
        """At once, over a connection to a server that writes: this one answered that it does not."""
        if self._resends_count or not held.may_be_replaced():
            return False
        if not is_undone_whole(self._sql, held.connection):
            return False
        self._resends_count += 1
        return True

    def may_retry(self, error: Exception, connection: Any, left_s: float | None) -> bool:
        """After a wait of ``wait_s``."""
        options = self._options
        classic = isinstance(options.policy, Classic)
        retried = CLASSIC_QUERY_RETRIED if classic else TRANSIENT
        undone = classic or self._idempotent or is_undone_whole(self._sql, connection)
        if code_of(error) not in retried or not undone or self.retries_count >= options.max_query_retries:
            return False
        self.retries_count += 1
        # A flaw of the published module: the wait is reckoned from the count of connects and never grows.
        last = (0.0, 0) if classic else (self.wait_s, self.retries_count)
        self.wait_s = options.query_wait_s(*last)
        return classic or left_s is None or self.wait_s < left_s
