"""What an invocation does in the database."""

import json
import time
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import pymysql

from loadtest.fleet.connection import Meter
from loadtest.manager.errors import REFUSED, code_of, is_lost

GROUPS_COUNT = 1000
UNFINISHED_BATCH = "batchItemFailures"
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

    __slots__ = (
        "_kind", "_meter", "_work_s", "group", "id", "is_hit", "query_s", "statements_count", "worked_s",
    )  # fmt: skip

    def __init__(self, kind: str, work_s: float, client: int, number: int, meter: Meter) -> None:
        self._kind = kind
        self._work_s = work_s
        self._meter = meter
        self.id = f"{client}/{number}"
        # A prime steps through the groups, so that clients do not ask for the same ones in step.
        self.group = 1 + (client * 7919 + number) % GROUPS_COUNT
        self.is_hit = False  # the answer is in a cache: the database is not asked
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

    def event(self) -> Any:
        """What a function gets that is called with an event."""
        return {"id": self.id, "group": self.group}

    def judge(self, answer: Any) -> None:
        """A function's ``answer`` means nothing beyond that there is one."""

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


class Batch:
    """The workloads of the messages that one invocation gets, one after another on one session.

    As a function does that reports partial batch failures: one message's error is no other's, as long as the
    connection is there. Called again, after its connection was lost, it goes on with what is not yet done.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.id, self.group = works[0].id, works[0].group  # of the first message
        self._done_count = 0
        self._errors: dict[str, BaseException | str] = {}

    def __call__(self, session: Session) -> None:
        """Raises what is no single message's error."""
        for work in self.works[self._done_count :]:
            try:
                if not work.is_hit:
                    work(session)
            except Exception as error:
                if not _is_one_message_s(error):
                    raise
                self._errors[work.id] = error
            self._done_count += 1

    @property
    def is_hit(self) -> bool:
        """Whether the database is asked for none of them."""
        return all(work.is_hit for work in self.works)

    @property
    def query_s(self) -> float:
        """As :class:`Work` has it, of all messages."""
        return sum(work.query_s for work in self.works)

    @property
    def worked_s(self) -> float:
        """As :class:`Work` has it, of all messages."""
        return sum(work.worked_s for work in self.works)

    @property
    def statements_count(self) -> int:
        """As :class:`Work` has it, of all messages."""
        return sum(work.statements_count for work in self.works)

    def event(self) -> Any:
        """What a function gets that is called with an event."""
        return {"Records": [{"messageId": work.id, "body": json.dumps(work.event())} for work in self.works]}

    def judge(self, answer: Any) -> None:
        """Takes from a function's ``answer`` which messages it has failed; all, if it makes no sense."""
        failures = answer.get(UNFINISHED_BATCH) if isinstance(answer, dict) else None
        if failures is None or failures == []:
            return
        listed = failures if isinstance(failures, list) else []
        ids = [one.get("itemIdentifier") for one in listed if isinstance(one, dict)]
        makes_sense = len(ids) == len(listed) and all(isinstance(one, str) for one in ids)
        self.fail(ids if makes_sense else [])

    def fail(self, ids: Collection[Any]) -> None:
        """The ``ids`` of messages that the function reports as failed. An unknown one stands for all of them.

        Source: AWS Lambda developer guide, "Handling errors for an SQS event source".
        """
        known = {work.id for work in self.works}
        wrong = known if not ids or not known.issuperset(ids) else ids
        self._errors |= dict.fromkeys(map(str, wrong), UNFINISHED_BATCH)

    def error_of(self, client: int, number: int) -> BaseException | str:
        """Why the message failed that is arrival ``number`` of ``client``; "" if it did not."""
        return self._errors.get(f"{client}/{number}", "")


def _is_one_message_s(error: Exception) -> bool:
    """Whether the next statement on the same connection may succeed."""
    if isinstance(error, WrongAnswer):
        return True
    is_servers = isinstance(error, pymysql.MySQLError) and not is_lost(error)
    code = code_of(error) or 0
    return is_servers and code not in REFUSED and not 2000 <= code < 3000 and code > 0
