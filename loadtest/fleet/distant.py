"""A worker on another machine: it learns the master's clock, and its rows come home with its last word."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from loadtest.errors import LoadtestError
from loadtest.store import Repetition

CLOCK = "loadtest_clock"
EXCHANGES = 10
PATIENCE_S = 1.5  # well within the time between the order to start and the start


class Exchange(NamedTuple):
    """A question to the master: our clock when it went and came back, the master's in between."""

    sent_s: float
    masters_s: float
    received_s: float


def estimate(exchanges: Sequence[Exchange]) -> tuple[float, float]:
    """Our clock less the master's, and by how much that may be wrong, in seconds.

    The quickest exchange counts, since the answer came from somewhere between its two ends (F. Cristian,
    "Probabilistic clock synchronization", Distributed Computing 3, 1989).
    """
    best = min(exchanges, key=lambda one: one.received_s - one.sent_s)
    half_s = (best.received_s - best.sent_s) / 2
    return best.sent_s + half_s - best.masters_s, half_s


class MastersClock:
    """Of a worker. Both sides speak of ``time.monotonic()``, each of its own machine's."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._answered = Event()
        self._answer: Exchange | None = None
        runner.register_message(CLOCK, self._told)

    def _told(self, msg: Any, **_: Any) -> None:
        self._answer = Exchange(msg.data["sent_s"], msg.data["masters_s"], time.monotonic())
        self._answered.set()

    def ask(self) -> tuple[float, float]:
        """See :func:`estimate`. Not to be called where messages are received. Raises LoadtestError."""
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
    """On the master."""

    def told(msg: Any, **_: Any) -> None:
        runner.send_message(CLOCK, {**msg.data, "masters_s": time.monotonic()}, client_id=msg.node_id)

    runner.register_message(CLOCK, told)


def is_shared(repetition: Repetition, token: str) -> bool:
    """Whether the folder that the master names is the same here."""
    try:
        return bool(token) and repetition.read_meta().get("token") == token
    except (LoadtestError, OSError):
        return False


def own_folder() -> Repetition:
    """A folder of this worker's, for rows that go home at the end."""
    return Repetition(Path(tempfile.mkdtemp(prefix="loadtest-worker-")) / "arms" / "worker" / "01").create()


def taken_home(repetition: Repetition) -> dict[str, bytes]:
    """The files of :func:`own_folder`, which is gone afterwards."""
    try:
        return repetition.packed()
    finally:
        shutil.rmtree(repetition.path.parents[2], ignore_errors=True)
