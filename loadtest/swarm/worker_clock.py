"""The master's clock, as a worker on another machine learns it."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from loadtest.errors import LoadtestError

CLOCK = "loadtest_clock"
EXCHANGES = 10
PATIENCE_S = 1.5  # well within the time between the order to start and the start


class Exchange(NamedTuple):
    """One question to the master: our clock when it was sent and answered, and the master's in between."""

    sent_s: float
    masters_s: float
    received_s: float


def estimate(exchanges: Sequence[Exchange]) -> tuple[float, float]:
    """Our clock minus the master's, and the largest possible error, in seconds.

    The fastest exchange is used, since the master's clock was read somewhere between its two ends (F.
    Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989).
    """
    best = min(exchanges, key=lambda one: one.received_s - one.sent_s)
    half_s = (best.received_s - best.sent_s) / 2
    return best.sent_s + half_s - best.masters_s, half_s


class MastersClock:
    """A worker's view of it. Both sides use ``time.monotonic()`` of their own machine.

    ``runner`` is Locust's, which sends the messages.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._answered = Event()
        self._answer: Exchange | None = None
        runner.register_message(CLOCK, self._told)

    def _told(self, msg: Any, **_: Any) -> None:
        self._answer = Exchange(msg.data["sent_s"], msg.data["masters_s"], time.monotonic())
        self._answered.set()

    def ask(self) -> tuple[float, float]:
        """See :func:`estimate`.

        Must not be called from the greenlet that receives messages. Raises LoadtestError.
        """
        found: list[Exchange] = []
        until = time.monotonic() + PATIENCE_S
        while len(found) < EXCHANGES and time.monotonic() < until:
            self._answered.clear()
            self._runner.send_message(CLOCK, {"sent_s": time.monotonic()})
            if self._answered.wait(until - time.monotonic()) and self._answer is not None:
                found.append(self._answer)
            gevent.sleep(0.01)
        if not found:
            raise LoadtestError(
                f"worker {self._runner.worker_index} was not told the time within {PATIENCE_S:g} s: its rows "
                "could not be put in order; do master and worker run the same version of loadtest?"
            )
        return estimate(found)


def answer_clock(runner: Any) -> None:
    """Answers workers that ask for the time; on the master, whose messages ``runner``, Locust's, has."""

    def told(msg: Any, **_: Any) -> None:
        runner.send_message(CLOCK, {**msg.data, "masters_s": time.monotonic()}, client_id=msg.node_id)

    runner.register_message(CLOCK, told)
