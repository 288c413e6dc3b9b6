"""The faults of one repetition, each at its time."""

import threading
import time
from dataclasses import replace
from random import Random
from typing import Any

from loadtest.errors import LoadtestError, ServerLost
from loadtest.results.run_folder import Repetition
from loadtest.server.fault_actions import FaultActions, RelayProcess
from loadtest.server.target import Target
from loadtest.settings.fault import Fault, Needs

RECOVERS_S = 15.0  # so long after a fault the monitor may still fail before the server counts as lost
LOOK_S = 0.02


class FaultSchedule:
    """Carries out ``faults`` in a thread while its block runs, and undoes whatever still holds at its end.

    ``target`` is the server, which functions reach by way of :attr:`functions`; ``t0_monotonic_s`` is the
    run's t0, and the times of what was done go to ``repetition``. ``seed`` decides which connections are hit.
    """

    def __init__(
        self, faults: list[Fault], target: Target, repetition: Repetition, t0_monotonic_s: float, seed: int
    ) -> None:
        self._faults = faults
        self._repetition = repetition
        self._t0_monotonic_s = t0_monotonic_s
        needs_relay = any(fault.kind.needs is Needs.RELAY for fault in faults)
        self._relay = RelayProcess(target.functions) if needs_relay else None
        self.functions = target.functions
        if self._relay is not None:
            self.functions = replace(target.functions, host="127.0.0.1", port=self._relay.port)
        self._actions = FaultActions(target, self._relay, Random(seed))
        self._over = threading.Event()
        self._problem: LoadtestError | None = None
        self._excused_until_s = 0.0
        self._done: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._carry_out, name="faults")

    def __repr__(self) -> str:
        return f"<FaultSchedule of {len(self._faults)}, {len(self._done)} of them begun>"

    def __enter__(self) -> "FaultSchedule":
        if self._faults:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._relay is not None:
            self._relay.close()
        if self._done:
            self._repetition.write_meta(faults=self._done)

    @property
    def relayed(self) -> bool:
        """Whether functions reach the server by a relay."""
        return self._relay is not None

    def check(self) -> None:
        """Raises :class:`~loadtest.errors.ServerLost` if a fault could not be carried out, or undone."""
        if self._problem is not None:
            raise self._problem

    @property
    def excuses(self) -> bool:
        """Whether a fault explains that the server does not answer."""
        return time.monotonic() < self._excused_until_s

    def _carry_out(self) -> None:
        start_s = self._start_s()
        for fault in self._faults if start_s is not None else ():
            assert start_s is not None  # noqa: S101 (or there is no fault)
            if self._over.wait(max(0.0, start_s + fault.at_s - self._now())):
                return
            # Until its end is known, however long the server takes to come back.
            self._excused_until_s = float("inf")
            try:
                self._one(fault)
            except LoadtestError as error:
                self._problem = ServerLost(f"fault {fault.text}: {error}")
                return
            finally:
                self._excused_until_s = time.monotonic() + RECOVERS_S

    def _one(self, fault: Fault) -> None:
        done: dict[str, Any] = {"fault": fault.text, "began_s": self._now()}
        self._actions.begin(fault)
        done["holds_s"] = self._now()
        self._done.append(done)
        try:
            self._over.wait(max(0.0, done["began_s"] + fault.duration_s - self._now()))
        finally:
            done["undone_s"] = self._now()
            self._actions.end(fault)
            done["ended_s"] = self._now()

    def _start_s(self) -> float | None:
        """When the load starts; None if the block ends before."""
        while not self._over.wait(LOOK_S):
            start_s = self._repetition.read_meta().get("start_s")
            if isinstance(start_s, float):
                return start_s
        return None

    def _now(self) -> float:
        return time.monotonic() - self._t0_monotonic_s
