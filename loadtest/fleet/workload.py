"""What an invocation does in the database."""

import time
from typing import Any, Protocol

from loadtest.fleet.connection import Meter

GROUPS_COUNT = 1000
ROWS_COUNT = 5


class Session(Protocol):
    """What a workload runs on: the manager, or a connection in :class:`~.strategies.Plain`."""

    def query(self, sql: str, args: Any = None) -> Any: ...

    def transaction(self) -> Any: ...


class WrongAnswer(Exception):
    """The server's answer is not the one that was expected."""


class Work:
    """The workload of one invocation. Calling it with a session runs it and measures its statements.

    ``kind`` is "few-rows", "select-1", "sleep" or "ledger"; ``work_s`` the seconds that it sleeps, in SQL or
    beside its statements. ``client`` and ``number``, the client's and its arrival's, make ``id``, which is
    unique in a repetition; ``group`` is one of the groups of ``loadtest_rows``.
    """

    __slots__ = ("_kind", "_meter", "_work_s", "group", "id", "query_s", "statements_count", "worked_s")

    def __init__(self, kind: str, work_s: float, client: int, number: int, meter: Meter) -> None:
        self._kind = kind
        self._work_s = work_s
        self._meter = meter
        self.id = f"{client}/{number}"
        # A prime steps through the groups, so that clients do not ask for the same ones in step.
        self.group = 1 + (client * 7919 + number) % GROUPS_COUNT
        self.query_s = 0.0
        self.worked_s = 0.0
        self.statements_count = 0

    def __call__(self, session: Session) -> None:
        """Raises :class:`WrongAnswer`, and what the session raises."""
        if self._kind == "few-rows":
            found = self._ask(
                session, "SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (self.group,)
            )
            if len(found) != ROWS_COUNT:
                raise WrongAnswer(f"{len(found)} rows instead of {ROWS_COUNT}")
            self._other_work()
        elif self._kind == "select-1":
            self._ask(session, "SELECT 1")
            self._other_work()
        elif self._kind == "sleep":
            # An interrupted SLEEP returns 1 without an error on MySQL.
            if self._ask(session, f"SELECT SLEEP({self._work_s:.6f})")[0][0] != 0:
                raise WrongAnswer("SLEEP was interrupted")
        else:
            with session.transaction() as transaction:
                sql = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, 1)"
                self._ask(transaction, sql, (self.id,))
                self._other_work()
            self.statements_count += 2  # BEGIN and COMMIT are the workload's own

    def _ask(self, session: Any, sql: str, args: Any = None) -> Any:
        meter = self._meter
        spent_s, commands = meter.command_s, meter.commands_count
        try:
            return session.query(sql, args)
        finally:
            self.query_s += meter.command_s - spent_s
            self.statements_count += meter.commands_count > commands

    def _other_work(self) -> None:
        if self._work_s:
            started = time.monotonic()
            time.sleep(self._work_s)
            self.worked_s += time.monotonic() - started
