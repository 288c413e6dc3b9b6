"""What each fault does to the server, or to the way there, and how it is undone."""

import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pymysql
from pymysql.constants import ER
from pymysql.cursors import Cursor

from loadtest.errors import ServerUnavailable
from loadtest.results.notice import Board
from loadtest.server import connections
from loadtest.server.diagnosis import trouble
from loadtest.server.full_disk import FullDisk
from loadtest.server.password_rotation import Rotation
from loadtest.server.processes import ServerProcess, process_of
from loadtest.server.relay import State
from loadtest.server.relay_process import RelayProcess
from loadtest.server.target import Target
from loadtest.server.undo import put_back
from loadtest.settings.fault import Fault

ANSWERS_S = 60.0  # for a server that was started again
ASK_S = 10.0
LOOK_S = 0.02
COMES_UP_S = 1.0  # until then, a process that is not there may just not be there yet
# What a fault sets, and which of its values says to what; 1 for one without.
VARIABLES = {
    "connections": "max_connections",
    "lease": "wait_timeout",
    "read-only": "read_only",
    "failover": "read_only",
}
VALUES = {"connections": "limit", "lease": "timeout_s"}

Step = Callable[[Fault], None]


class FaultActions:
    """What is done for the faults of one repetition, to the server of ``target``.

    ``relay`` is there if one of them needs it, and ``board`` in a run, whose processes are told by it;
    ``rng`` picks what is hit. ``is_hurried()``: the server is taken down anyway, so it is neither started
    again nor waited for. ``second`` takes the server's place after a failover.
    """

    def __init__(
        self,
        target: Target,
        relay: RelayProcess | None,
        rng: Random,
        is_hurried: Callable[[], bool] = lambda: False,
        board: Board | None = None,
        second: Target | None = None,
    ) -> None:
        self._target = target
        self._relay = relay
        self._rng = rng
        self._is_hurried = is_hurried
        self._board = board
        self._second = second
        self._rotation = Rotation(target)
        self._disk = FullDisk(target)
        self._before: dict[str, Any] = {}  # global variables as they were
        self._admin: pymysql.Connection[Cursor] | None = None
        self._server: ServerProcess | None = None
        self._steps: dict[str, tuple[Step, Step]] = {
            "kill": (lambda _: self._process().kill(), self._start_again),
            "stop": (lambda _: self._process().stop(), self._start_again),
            "freeze": (lambda _: self._process().freeze(), lambda _: self._process().thaw()),
            "slow": (
                lambda fault: self._process().slow(fault.values["share"]),
                lambda _: self._process().full_speed(),
            ),
            **dict.fromkeys(VARIABLES, (self._set, self._put_back)),
            "failover": (self._set, self._lead_to_second),
            "rotate-password": (self._rotate, self._discard_old),
            "kill-connections": (self._kill_connections, lambda _: None),
            "deploy": (lambda _: self._once_more("deploys_count"), lambda _: None),
            "worker": (lambda _: self._once_more("killed_workers_count"), lambda _: None),
            "dns": (
                lambda _: self._notices().put(is_nameless=True),
                lambda _: self._notices().put(is_nameless=False),
            ),
            "disk-full": (lambda _: self._disk.fill(), lambda _: self._disk.free()),
            "monitor": (
                lambda _: self._notices().put(is_monitor_down=True),
                lambda _: self._notices().put(is_monitor_down=False),
            ),
            **dict.fromkeys(
                ("delay", "bandwidth", "reset", "black-hole", "half-close", "cut"),
                (self._disturb, self._calm),
            ),
        }

    def __repr__(self) -> str:
        return f"<FaultActions on {self._target.admin}>"

    def prepare(self, faults: list[Fault]) -> None:
        """Finds out what ``faults`` need to know, before the load. Raises :class:`ServerUnavailable`."""
        if any(fault.name == "rotate-password" for fault in faults):
            self._rotation.find_account()

    def begin(self, fault: Fault) -> None:
        """Returns once ``fault`` holds. Raises :class:`ServerUnavailable` if it cannot be done."""
        self._steps[fault.name][0](fault)

    def end(self, fault: Fault) -> None:
        """Undoes ``fault``, and returns once the server answers. Raises :class:`ServerUnavailable`.

        Also what was begun by half is undone.
        """
        self._steps[fault.name][1](fault)
        self._wait_for_answer()

    def restore(self) -> None:
        """Undoes what outlasts its fault, once the load is over. Raises :class:`ServerUnavailable`."""
        if self._target.kind == "given" or not self._is_hurried():
            self._rotation.put_back()
            for variable in list(self._before):
                self._put_variable_back(variable)

    def close(self) -> None:
        """Gives its own connection back."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(pymysql.MySQLError, OSError):
                admin.close()

    # The server's process

    def _process(self) -> ServerProcess:
        self._server = self._server or process_of(self._target)
        return self._server

    def _start_again(self, _fault: Fault) -> None:
        if not self._is_hurried():
            self._process().start()

    def _wait_for_answer(self) -> None:
        began = time.monotonic()
        while not self._is_hurried():
            try:
                connections.connect(self._target.admin, timeout_s=1.0).close()
                return
            except (pymysql.Error, OSError, RuntimeError) as error:
                if error.args[:1] and error.args[0] in connections.FULL:
                    return
                waited_s = time.monotonic() - began
                ended = trouble(self._target) if waited_s > COMES_UP_S else ""
                if ended or waited_s > ANSWERS_S:
                    raise ServerUnavailable(
                        f"the server did not answer within {waited_s:.0f} s of the fault's end: "
                        f"{ended or connections.short(error)}"
                    ) from None
            time.sleep(LOOK_S)

    # Its settings and connections

    def _set(self, fault: Fault) -> None:
        variable, value = VARIABLES[fault.name], int(fault.values.get(VALUES.get(fault.name, ""), 1))
        try:
            # Kept until it is put back: then the server may have no connection left for us.
            self._admin = self._admin or connections.connect(self._target.admin, ASK_S)
            self._before.setdefault(variable, _value_of(self._admin, variable))
            _set_to(self._admin, variable, value)
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise ServerUnavailable(f"{variable} cannot be set: {connections.short(error)}") from None

    def _put_back(self, fault: Fault) -> None:
        self._put_variable_back(VARIABLES[fault.name])

    def _put_variable_back(self, variable: str) -> None:
        if variable in self._before:
            by_hand = f"set it to {self._before[variable]!r} by hand"
            put_back(lambda: self._set_as_before(variable), variable, by_hand)
        self.close()

    def _set_as_before(self, variable: str) -> None:
        self._admin = self._admin or connections.connect(self._target.admin, ASK_S)
        try:
            _set_to(self._admin, variable, self._before[variable])
        except (pymysql.Error, OSError, RuntimeError):
            self.close()  # another one next time
            raise
        del self._before[variable]

    def _rotate(self, fault: Fault) -> None:
        password = self._rotation.rotate(keeps_old=fault.duration_s > 0)
        self._notices().put(password=password)

    def _discard_old(self, fault: Fault) -> None:
        if fault.duration_s > 0:
            self._rotation.discard_old()

    def _kill_connections(self, fault: Fault) -> None:
        try:
            with connections.session(self._target.admin, ASK_S) as cursor:
                cursor.execute(
                    "SELECT id FROM information_schema.processlist WHERE user = %s AND id <> CONNECTION_ID() "
                    "ORDER BY id",
                    (self._target.functions.user,),
                )
                found = [int(row[0]) for row in cursor.fetchall()]
                count = max(1, round(fault.values["share"] * len(found)))
                for victim in self._rng.sample(found, min(count, len(found))):
                    _kill(cursor, victim)
        except pymysql.MySQLError as error:
            raise ServerUnavailable(connections.short(error)) from None

    # The load's own processes

    def _notices(self) -> Board:
        assert self._board is not None  # noqa: S101 (a run has one)
        return self._board

    def _once_more(self, count: str) -> None:
        board = self._notices()
        board.put(**{count: getattr(board.notice, count) + 1})

    # The way there

    def _disturb(self, fault: Fault) -> None:
        assert self._relay is not None  # noqa: S101 (a network's fault has one)
        self._relay.become(relay_state(fault))

    def _lead_to_second(self, _fault: Fault) -> None:
        assert self._relay is not None  # noqa: S101 (a failover has both)
        assert self._second is not None  # noqa: S101
        self._relay.become(State(port=self._second.functions.port))

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


def _value_of(admin: "pymysql.Connection[Cursor]", variable: str) -> Any:
    with admin.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{variable}")
        return (cursor.fetchone() or (None,))[0]


def _set_to(admin: "pymysql.Connection[Cursor]", variable: str, value: Any) -> None:
    with admin.cursor() as cursor:
        cursor.execute(f"SET GLOBAL {variable} = %s", (value,))


def _kill(cursor: Cursor, victim: int) -> None:
    try:
        cursor.execute(f"KILL {victim}")
    except pymysql.MySQLError as error:
        if error.args[:1] != (ER.NO_SUCH_THREAD,):  # gone by itself
            raise
