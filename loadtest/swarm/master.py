"""The master's view of its workers: who takes part, who is done, who is lost.

Locust drops a worker that has been silent for about 4 s, logs it, and goes on without its clients. A worker
that joins a running test gets clients of the others. Neither is the load that was asked for.
"""

import time
from collections.abc import Callable
from typing import Any

from gevent.event import Event

from loadtest.swarm.roster import Roster
from loadtest.swarm.worker_clock import answer_clock

START, STOP, DONE = "loadtest_start", "loadtest_stop", "loadtest_done"
DIE = "loadtest_die"
LOOK_S = 0.5
MISSING = "missing"  # Locust's state of a worker that is silent


class Master:
    """``told(done)`` gets each worker's last message, ``trouble(text)`` why a test is invalid."""

    def __init__(
        self, environment: Any, told: Callable[[dict[str, Any]], None], trouble: Callable[[str], None]
    ) -> None:
        self._runner = environment.runner
        self._told = told
        self._trouble = trouble
        self._all_done = Event()
        self._roster = Roster((), 0)
        self._killed: set[str] = set()
        self._runner.register_message(DONE, self._done)
        environment.events.worker_connect.add_listener(self._came)
        answer_clock(self._runner)

    def muster(self, clients_count: int) -> Roster:
        """The workers that are connected now take part in the test, and no others."""
        clients, place = self._runner.clients, self._runner.get_worker_index
        there = [*clients.ready, *clients.spawning, *clients.running]
        self._all_done.clear()
        self._roster = Roster(sorted((node.id for node in there), key=place), clients_count)
        return self._roster

    def start(self, order: dict[str, Any]) -> None:
        """Sends all workers ``order``, what they need to make their load, and everybody's place."""
        self._runner.send_message(START, {**order, "places": self._roster.places})

    def stop(self, patience_s: float) -> None:
        """Ends the test early: invocations in progress are answered, and the last rows are written."""
        if self._roster.open:
            self._runner.send_message(STOP)
            self._all_done.wait(patience_s)

    def kill_one(self) -> None:
        """Has the worker of the last place that is at work end as by SIGKILL."""
        last = max(self._roster.open - self._killed, key=self._roster.places.__getitem__, default=None)
        if last is not None:
            self._killed.add(last)
            self._runner.send_message(DIE, client_id=last)

    def wait(self, until_s: float) -> None:
        """Waits until all workers are done or lost, at most until ``until_s`` on the monotonic clock."""
        roster, clients = self._roster, self._runner.clients
        while not self._all_done.wait(LOOK_S):
            late = time.monotonic() > until_s
            gone = [w for w in roster.open if clients.get(w) is None or clients[w].state == MISSING]
            self.lose(roster.open if late else gone)

    def lose(self, workers: Any) -> None:
        """Goes on without ``workers``, Locust's ids, and says so: the test is invalid."""
        for worker in sorted(workers):
            self._say(self._roster.lost(worker))
        self._see()

    def _done(self, msg: Any, **_: Any) -> None:
        if msg.node_id not in self._roster.places:  # rows of an earlier test, whose master was ended
            return
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
