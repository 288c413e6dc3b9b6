"""The faults of one repetition, each at its time."""

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from random import Random
from typing import Any

from loadtest.bench.interrupts import Interrupts
from loadtest.errors import LoadtestError, ServerLost
from loadtest.results import notice
from loadtest.results.notice import Board
from loadtest.results.run_folder import Repetition
from loadtest.server.fault_actions import FaultActions
from loadtest.server.relay_process import RelayProcess
from loadtest.server.target import Target
from loadtest.settings.fault import Fault, Needs

RECOVERS_S = 15.0  # so long after a fault the monitor may still fail before the server counts as lost
LOOK_S = 0.02


class FaultSchedule:
    """Carries out ``faults`` in a thread while its block runs, and undoes whatever still holds at its end.

    ``target`` is the server, which functions reach by way of :attr:`functions`; ``t0_monotonic_s`` is the
    run's t0, and the times of what was done go to ``repetition``. ``seed`` decides which connections are
    hit, and ``second`` takes the server's place after a failover.
    """

    def __init__(
        self,
        faults: list[Fault],
        target: Target,
        repetition: Repetition,
        t0_monotonic_s: float,
        seed: int,
        interrupts: Interrupts,
        second: Target | None = None,
    ) -> None:
        self._second = second
        self._faults = faults
        self._target = target
        self._repetition = repetition
        self._t0_monotonic_s = t0_monotonic_s
        self._seed = seed
        self._interrupts = interrupts
        self.functions = target.functions
        self.variables: dict[str, str] = {}  # for the environment of the load's processes
        self.warnings: list[str] = []
        self._over, self._ended = threading.Event(), threading.Event()
        self._problem: LoadtestError | None = None
        self._excused_until_s = 0.0
        self._done: list[dict[str, Any]] = []
        self._closing = ExitStack()

    def __repr__(self) -> str:
        return f"<FaultSchedule of {len(self._faults)}, {len(self._done)} of them begun>"

    def __enter__(self) -> "FaultSchedule":
        """Raises :class:`~loadtest.errors.ServerUnavailable` if the relay does not start."""
        if not self._faults:
            return self
        with self._interrupts.deferred():
            try:
                self._begin()
            except BaseException:
                self._closing.close()
                raise
        return self

    def _begin(self) -> None:
        relay = None
        if any(fault.kind.is_relayed for fault in self._faults):
            relay = RelayProcess(self._target.functions)
            self._closing.callback(relay.close)
            self.functions = replace(self._target.functions, host="127.0.0.1", port=relay.port)
        board = Board()
        self._closing.callback(board.close)
        self.variables = {notice.VARIABLE: str(board.path)}
        actions = FaultActions(self._target, relay, Random(self._seed), self._is_hurried, board, self._second)
        self._closing.callback(actions.close)
        actions.prepare(self._faults)
        threading.Thread(target=self._carry_out, args=(actions,), name="faults", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        if not self._faults:
            return
        # An exception in the middle would leave the server as it is: a signal waits, and makes us hurry.
        with self._interrupts.deferred():
            self._over.set()
            self._ended.wait()  # not join(), which a signal's handler may end for good
            if self._done:
                self._repetition.write_meta(faults=self._done)
            self._closing.close()

    def check(self) -> None:
        """Raises :class:`~loadtest.errors.ServerLost` if a fault could not be carried out, or undone."""
        if self._problem is not None:
            raise self._problem

    @property
    def relayed(self) -> bool:
        """Whether functions reach the server by a relay."""
        return self.functions is not self._target.functions

    @property
    def excuses(self) -> bool:
        """Whether a fault explains that the server does not answer."""
        return time.monotonic() < self._excused_until_s

    def _is_hurried(self) -> bool:
        """Whether the server is taken down anyway: nobody has to wait for its answer."""
        return self._over.is_set() and self._interrupts.came

    def _carry_out(self, actions: FaultActions) -> None:
        try:
            self._one_after_another(actions)
            self._over.wait()
        finally:
            self._restore(actions)
            self._ended.set()

    def _restore(self, actions: FaultActions) -> None:
        try:
            actions.restore()
        except LoadtestError as error:
            self._problem = self._problem or ServerLost(f"after its faults: {error}")

    def _one_after_another(self, actions: FaultActions) -> None:
        start_s, deadline_s = self._window_s()
        for fault in self._faults:
            if self._over.wait(max(0.0, start_s + fault.at_s - self._now())):
                return
            if self._now() + fault.duration_s >= deadline_s:
                self._skipped(fault)
                continue
            # Until its end is known, however long the server takes to come back.
            self._excused_until_s = float("inf")
            try:
                self._one(fault, actions)
            except LoadtestError as error:
                self._problem = ServerLost(f"fault {fault.text}: {error}")
                return
            except Exception as error:  # whatever it is, the run is not what it says it is
                self._problem = ServerLost(f"fault {fault.text}: {type(error).__name__}: {error}")
                return
            finally:
                self._excused_until_s = time.monotonic() + RECOVERS_S

    def _skipped(self, fault: Fault) -> None:
        where = f"{self._repetition.arm}/{self._repetition.number}"
        self.warnings.append(
            f"{where}: fault {fault.text} was left out: the one before it had ended too late for it"
        )

    def _one(self, fault: Fault, actions: FaultActions) -> None:
        done: dict[str, Any] = {"fault": fault.text, "began_s": self._now()}
        self._done.append(done)
        try:
            actions.begin(fault)
            done["holds_s"] = self._now()
            self._over.wait(max(0.0, done["began_s"] + fault.duration_s - self._now()))
        finally:
            done["undone_s"] = self._now()
            actions.end(fault)
            done["ended_s"] = self._now()
        if fault.kind.needs is Needs.SECOND:
            self.warnings.append(
                f"after fault {fault.text} new connections went to another server, which the monitor did not "
                "watch: connections and zombies are those of the first one"
            )
        if fault.name == "monitor":
            self.warnings.append(
                f"nobody watched the server during fault {fault.text}: a peak may be missing"
            )

    def _window_s(self) -> tuple[float, float]:
        """When the load starts and ends; never, if the block ends before."""
        while not self._over.wait(LOOK_S):
            meta = self._repetition.read_meta()
            start_s, deadline_s = meta.get("start_s"), meta.get("deadline_s")
            if isinstance(start_s, float) and isinstance(deadline_s, float):
                return start_s, deadline_s
        return float("inf"), float("inf")

    def _now(self) -> float:
        return time.monotonic() - self._t0_monotonic_s
