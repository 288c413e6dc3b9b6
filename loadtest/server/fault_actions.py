"""What each fault does to the server, or to the way there, and how it is undone."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import census, connections, flavour
from loadtest.server.processes import ServerProcess, process_of
from loadtest.server.relay import State
from loadtest.server.target import Target
from loadtest.settings.fault import Fault, Needs

ANSWERS_S = 60.0  # for a server that was started again
ASK_S = 10.0
LOOK_S = 0.02
MARIADBS_LEAST = 10  # of max_connections


def check_faults(faults: list[Fault], target: Target) -> None:
    """Raises :class:`UsageError` for what of ``faults`` cannot be done to the server of ``target``."""
    for fault in faults:
        if fault.kind.needs is Needs.PROCESS:
            try:
                process_of(target)
            except UsageError as error:
                raise UsageError(f"fault {fault.text!r} cannot be on this server: {error}") from None
        limit = fault.values.get("limit", MARIADBS_LEAST)
        if target.flavour == flavour.MARIADB and limit < MARIADBS_LEAST:
            raise UsageError(f"fault {fault.text!r}: MariaDB takes no limit below {MARIADBS_LEAST}")


class RelayProcess:
    """A :mod:`~loadtest.server.relay` to ``server`` in a process of its own.

    Raises :class:`ServerUnavailable`.
    """

    def __init__(self, server: Dsn) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.server.relay", server.host, str(server.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.port = int(self._answer() or 0)
        if not self.port:
            raise ServerUnavailable("the relay between functions and server did not start")

    def __repr__(self) -> str:
        return f"<RelayProcess on port {self.port}>"

    def become(self, state: State) -> None:
        """Returns once ``state`` holds."""
        assert self._process.stdin is not None  # noqa: S101 (a pipe was asked for)
        with suppress(OSError):
            self._process.stdin.write(json.dumps(state._asdict()) + "\n")
            self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 (a pipe was asked for)
        line = self._process.stdout.readline()
        if not line:
            raise ServerUnavailable("the relay between functions and server has ended")
        return line.strip()

    def close(self) -> None:
        """Ends it, and all connections with it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


Step = Callable[[Fault], None]


class FaultActions:
    """What is done for the faults of one repetition, to the server of ``target``.

    ``relay`` is there if one of them needs it; ``rng`` picks what is hit.
    """

    def __init__(self, target: Target, relay: RelayProcess | None, rng: Random) -> None:
        self._target = target
        self._relay = relay
        self._rng = rng
        self._before: dict[str, Any] = {}  # global variables as they were
        self._server: ServerProcess | None = None
        self._steps: dict[str, tuple[Step, Step]] = {
            "kill": (lambda _: self._process().kill(), self._start_again),
            "stop": (lambda _: self._process().stop(), self._start_again),
            "freeze": (lambda _: self._process().freeze(), lambda _: self._process().thaw()),
            "slow": (
                lambda fault: self._process().slow(fault.values["share"]),
                lambda _: self._process().full_speed(),
            ),
            "connections": (
                lambda fault: self._set("max_connections", fault.values["limit"]),
                self._put_back,
            ),
            "lease": (lambda fault: self._set("wait_timeout", fault.values["timeout_s"]), self._put_back),
            "read-only": (lambda _: self._set("read_only", 1), self._put_back),
            "kill-connections": (self._kill_connections, lambda _: None),
            **dict.fromkeys(
                ("delay", "bandwidth", "reset", "black-hole", "half-close", "cut"),
                (self._disturb, self._calm),
            ),
        }

    def __repr__(self) -> str:
        return f"<FaultActions on {self._target.admin}>"

    def begin(self, fault: Fault) -> None:
        """Returns once ``fault`` holds. Raises :class:`ServerUnavailable` if it cannot be done."""
        self._steps[fault.name][0](fault)

    def end(self, fault: Fault) -> None:
        """Undoes ``fault``, and returns once the server answers. Raises :class:`ServerUnavailable`."""
        self._steps[fault.name][1](fault)
        self._wait_for_answer()

    # The server's process

    def _process(self) -> ServerProcess:
        self._server = self._server or process_of(self._target)
        return self._server

    def _start_again(self, _fault: Fault) -> None:
        self._process().start()

    def _wait_for_answer(self) -> None:
        until = time.monotonic() + ANSWERS_S
        while True:
            try:
                connections.connect(self._target.admin, timeout_s=1.0).close()
                return
            except (pymysql.Error, OSError) as error:
                if error.args[:1] and error.args[0] in connections.FULL:
                    return
                if time.monotonic() > until:
                    raise ServerUnavailable(
                        f"the server did not answer within {ANSWERS_S:g} s of the fault's end: "
                        f"{connections.short(error)}"
                    ) from None
            time.sleep(LOOK_S)

    # Its settings and connections

    def _set(self, variable: str, value: float) -> None:
        found = self._ask(f"SELECT @@GLOBAL.{variable}")
        self._before.setdefault(variable, found[0][0])
        self._ask(f"SET GLOBAL {variable} = {int(value)}")

    def _put_back(self, _fault: Fault) -> None:
        for variable in list(self._before):
            self._ask(f"SET GLOBAL {variable} = {int(self._before[variable])}")
            del self._before[variable]

    def _kill_connections(self, fault: Fault) -> None:
        try:
            with connections.session(self._target.admin, ASK_S) as cursor:
                found = sorted(census.others(cursor, self._target))
                for victim in self._rng.sample(found, round(fault.values["share"] * len(found))):
                    with suppress(pymysql.MySQLError):  # gone by itself
                        cursor.execute(f"KILL {victim}")
        except pymysql.MySQLError as error:
            raise ServerUnavailable(connections.short(error)) from None

    def _ask(self, sql: str) -> Any:
        try:
            with connections.session(self._target.admin, ASK_S) as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        except pymysql.MySQLError as error:
            raise ServerUnavailable(f"{sql}: {connections.short(error)}") from None

    # The way there

    def _disturb(self, fault: Fault) -> None:
        assert self._relay is not None  # noqa: S101 (a network's fault has one)
        self._relay.become(relay_state(fault))

    def _calm(self, _fault: Fault) -> None:
        assert self._relay is not None  # noqa: S101 (a network's fault has one)
        self._relay.become(State())


def relay_state(fault: Fault) -> State:
    """What the relay does for ``fault``, one of those of the network. Pure."""
    values = fault.values
    return {
        "delay": State(delay_s=values.get("ms", 0.0) / 1000),
        "cut": State(cut_s=values.get("ms", 0.0) / 1000),
        "bandwidth": State(bytes_per_s=values.get("kbit_per_s", 0.0) * 1000 / 8),
        "reset": State(reset=True, refuse=fault.duration_s > 0),
        "black-hole": State(hole=True),
        "half-close": State(half_close=True),
    }[fault.name]
