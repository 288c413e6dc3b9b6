"""One statement of a manager: connects where needed, and sends it again where that does no harm."""

import time
from typing import Any, Protocol

from loadtest.manager.errors import LOST_STATE, SessionLost, error_name
from loadtest.manager.fate import Fate
from loadtest.manager.options import Options, log
from loadtest.manager.result import Ended, Result, unwrapped
from loadtest.manager.retry import Retries
from loadtest.manager.session import Session
from loadtest.manager.stats import Stats


class Container(Protocol):
    """What a statement needs of the :class:`~loadtest.manager.connection.ConnectionManager`."""

    _options: Options
    _stats: Stats

    def _connected(self) -> Session: ...

    def _limit_s(self, timeout_s: float | None) -> float | None: ...

    def remaining_s(self) -> float | None: ...


def run_statement(db: Container, sql: str, args: Any, idempotent: bool, timeout_s: float | None) -> Result:
    """Raises what :meth:`ConnectionManager.query` raises."""
    retries = Retries(db._options, sql, idempotent)
    with unwrapped:
        while True:
            try:
                session = db._connected()
            except Exception as refused:
                if retries.unknown is None:
                    raise
                raise retries.unknown from refused
            in_transaction, state = session.in_transaction(), session.state
            is_bound = in_transaction or state  # another connection would go on in the middle
            try:
                return session.query(sql, args, db._limit_s(timeout_s), db.remaining_s)
            except Ended as ended:
                error, connection = ended.error, session.connection
                if not is_bound and (
                    retries.may_send_again(ended) or retries.may_move(connection, session.may_be_replaced())
                ):
                    continue
                if state and not in_transaction and ended.fate is Fate.NOT_SENT:
                    raise SessionLost(2006, LOST_STATE) from error
                if is_bound or not retries.may_retry(error, connection, db.remaining_s()):
                    raise
                db._stats.query_retries_count += 1
                _wait(db._options, retries, error)


def _wait(options: Options, retries: Retries, error: Exception) -> None:
    log.info("statement retried after %s", error_name(error))
    options.fire("on_query_retry", error, retries.retries_count, retries.wait_s, options.query_algorithm)
    time.sleep(retries.wait_s)
