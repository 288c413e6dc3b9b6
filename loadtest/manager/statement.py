"""One statement of a manager: connects where needed, and sends it again where that can do no harm."""

import time
from typing import TYPE_CHECKING, Any

from loadtest.manager.attempts import Attempts
from loadtest.manager.errors import LOST_STATE, Fate, SessionLost
from loadtest.manager.held import named
from loadtest.manager.options import log
from loadtest.manager.running import Ended, Result

if TYPE_CHECKING:
    from loadtest.manager.connection import ConnectionManager


def run_statement(
    db: "ConnectionManager", sql: str, args: Any, idempotent: bool, timeout_s: float | None
) -> Result:
    """Raises what :meth:`ConnectionManager.query` raises."""
    options = db._options
    attempts = Attempts(options, sql, idempotent)
    while True:
        try:
            held = db._connected()
        except Exception as refused:
            if attempts.unknown is None:
                raise
            raise attempts.unknown from refused
        in_transaction, state = held.in_transaction(), held.state
        is_bound = in_transaction or state  # another connection would go on in the middle
        try:
            return held.query(sql, args, db._allowed_s(timeout_s), db.remaining_s)
        except Ended as ended:
            error = ended.error
            if not is_bound and (attempts.may_resend(ended) or attempts.may_move(held)):
                continue
            if state and not in_transaction and ended.fate is Fate.NOT_SENT:
                raise SessionLost(2006, LOST_STATE) from error
            if is_bound or not attempts.may_retry(error, held.connection, db.remaining_s()):
                raise error from error.__cause__
            db._stats.query_retries_count += 1
            log.info("statement retried after %s", named(error))
            told = (error, attempts.retries_count, attempts.wait_s, options.query_algorithm)
            options.fire("on_query_retry", *told)
            time.sleep(attempts.wait_s)
