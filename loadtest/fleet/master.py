"""A master's side of its workers: who takes part, who is done, who is gone.

Locust drops a worker that has been silent for about 4 s, says so in its log and goes on without its
clients; one that joins a running test gets clients of the others. Neither is the load that was asked for.
"""

import time
from collections.abc import Callable
from typing import Any

from gevent.event import Event

from loadtest.fleet.distant import answer_clock
from loadtest.fleet.roster import Roster

START, STOP, DONE = "loadtest_start", "loadtest_stop", "loadtest_done"
LOOK_S = 0.5
MISSING = "missing"  # Locust's state of a worker that is silent


class Master:
    """``told(done)`` has what each worker says when it is done, ``trouble(text)`` why a test is not valid."""

    def __init__(
        self, environment: Any, told: Callable[[dict[str, Any]], None], trouble: Callable[[str], None]
    ) -> None:
        self._runner = environment.runner
        self._told = told
        self._trouble = trouble
        self._all_done = Event()
        self._roster = Roster((), 0)
        self._runner.register_message(DONE, self._done)
        environment.events.worker_connect.add_listener(self._came)
        answer_clock(self._runner)

    def muster(self, clients_count: int) -> Roster:
        """Whoever is there now takes part, and nobody else."""
        clients, place = self._runner.clients, self._runner.get_worker_index
        there = [*clients.ready, *clients.spawning, *clients.running]
        self._all_done.clear()
        self._roster = Roster(sorted((node.id for node in there), key=place), clients_count)
        return self._roster

    def start(self, order: dict[str, Any]) -> None:
        self._runner.send_message(START, {**order, "places": self._roster.places})

    def stop(self, patience_s: float) -> None:
        """Before its time: what is under way is answered, and the last rows are written."""
        if self._roster.open:
            self._runner.send_message(STOP)
            self._all_done.wait(patience_s)

    def wait(self, until_s: float) -> None:
        """Until all are done or gone, and not beyond ``until_s`` on this machine's monotonic clock."""
        roster, clients = self._roster, self._runner.clients
        while not self._all_done.wait(LOOK_S):
            late = time.monotonic() > until_s
            gone = [w for w in roster.open if clients.get(w) is None or clients[w].state == MISSING]
            self.lose(roster.open if late else gone)

    def lose(self, workers: Any) -> None:
        for worker in sorted(workers):
            self._say(self._roster.lost(worker))
        self._see()

    def _done(self, msg: Any, **_: Any) -> None:
        self._say(self._roster.done(msg.node_id, *msg.data["presence"]))
        self._told(msg.data)
        self._see()

    def _came(self, client_id: str, **_: Any) -> None:
        if self._roster.open:
            self._say(self._roster.came(client_id))

    def _see(self) -> None:
        if not self._roster.open:
            self._all_done.set()

    def _say(self, reason: str) -> None:
        if reason:
            self._trouble(reason)
