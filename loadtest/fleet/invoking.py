"""What is between an arrival and the fleet: nothing (an API), Lambda's own queue, or SQS.

Sources: AWS Lambda developer guide, "Error handling for asynchronous invocations", "Using Lambda with Amazon
SQS" and "Configuring scaling behavior for SQS event source mappings"; Amazon SQS developer guide, "Visibility
timeout" and "Dead-letter queues".
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from math import nan
from random import Random
from typing import Protocol

import gevent
from gevent.event import Event
from gevent.pool import Group

from loadtest.fleet.arrivals import Arrival
from loadtest.fleet.clock import Clock
from loadtest.fleet.fleet import Draws, Fleet, Task
from loadtest.fleet.pollers import FIRST_COUNT, MOST_COUNT, PER_MINUTE, Pollers
from loadtest.fleet.scaling import share_of
from loadtest.results.rows import UNFINISHED, Attempt, Invocation
from loadtest.settings.plan import Settings

RETRIES_COUNT = 2  # of an asynchronous invocation whose function failed
THROTTLED_S = (1.0, 300.0)  # the first wait of what was throttled, and the longest
LOOK_S = 0.05
AGAIN_S = 0.05  # a second delivery comes so much later

Final = Callable[[Invocation], None]
Tried = Callable[[Attempt], None]


class Invoking(Protocol):
    """Takes arrivals. Each of them ends in one row, of the newest invocation that it was in."""

    def arrive(self, client: int, arrival: Arrival, due_s: float) -> None:
        """Serves one arrival of a client to its end; runs in a greenlet of its own, which may be killed.

        ``client`` is the client's number, ``due_s`` the time for which it is due, on the run's clock.
        """

    def waiting(self) -> tuple[int, float] | None:
        """How many events wait for an invocation, and since when the oldest does, NaN for none.

        None where there is no queue.
        """

    def close(self) -> None:
        """The run is over."""


class Api:
    """Whoever sends a request waits for the answer, and hears of every error."""

    def __init__(self, fleet: Fleet) -> None:
        self.arrive = fleet.arrive

    def waiting(self) -> None:
        """There is no queue."""

    def close(self) -> None:
        """Nothing goes on."""


class Attempts:
    """The attempts of one worker as rows; those of one invocation have its number.

    ``tried`` is called with each.
    """

    def __init__(self, worker: int, tried: Tried) -> None:
        self._worker, self._tried = worker, tried
        self._numbers = count()

    def record(self, rows: list[Invocation]) -> None:
        """``rows`` are of one invocation."""
        number = next(self._numbers)
        for row in rows:
            self._tried(
                Attempt(
                    self._worker, row.arrival, row.client, number, row.container, row.part, row.started_s,
                    row.finished_s, row.cold, row.cold_start_s, row.error,
                )
            )  # fmt: skip


class Asynchronous:
    """Lambda's own queue invokes the function, and tries again what fails, twice, and what is throttled.

    The waits are ``retry_delay_s`` before the second attempt and twice that before the third; what was
    throttled comes again after a second, then after twice as long each time.
    """

    def __init__(self, settings: Settings, fleet: Fleet, final: Final, tried: Tried, worker: int = 0) -> None:
        """``final`` is called with the row of each event, ``tried`` with each attempt.

        ``worker`` is the number of this one.
        """
        self._settings, self._fleet, self._final = settings, fleet, final
        self._attempts = Attempts(worker, tried)
        self._rng = Random(f"{settings.seed}/asynchronous/{worker}")
        self._waiting: dict[Task, None] = {}
        self._seconds = Group()

    def arrive(self, client: int, arrival: Arrival, due_s: float) -> None:
        """As :class:`Invoking` says of ``client``, ``arrival`` and ``due_s``."""
        part, task = self._fleet.part_of(arrival.part_draw), Task(client, arrival.number, due_s)
        draws: Draws = arrival.reap_draw, arrival.zombie_draw
        if self._rng.random() < self._settings.duplicate_ratio:
            self._seconds.spawn(self._again, part, task)
        rows = [self._fleet.throttled(part, task)._replace(error=UNFINISHED)]
        is_over = False
        try:
            self._try(part, task, draws, rows)
            is_over = True
        finally:
            self._waiting.pop(task, None)
            self._final(rows[-1] if is_over else rows[-1]._replace(error=UNFINISHED))

    def _try(self, part: str, task: Task, draws: Draws, rows: list[Invocation]) -> None:
        """Until the last of ``rows`` is final."""
        failures_count, throttled_s = 0, THROTTLED_S[0]

        def done(of: list[Invocation]) -> None:
            rows.extend(of)
            self._attempts.record(of)

        while True:
            if not self._fleet.deliver(part, [task], draws, done):
                done([self._fleet.throttled(part, task)])
                wait_s = throttled_s * (0.5 + self._rng.random())
                throttled_s = min(2 * throttled_s, THROTTLED_S[1])
            elif rows[-1].error == "" or failures_count == RETRIES_COUNT:
                return
            else:
                failures_count += 1
                wait_s = failures_count * self._settings.retry_delay_s
            self._waiting[task] = None
            gevent.sleep(wait_s)
            del self._waiting[task]
            draws = self._rng.random(), self._rng.random()

    def _again(self, part: str, task: Task) -> None:
        """A second delivery of the same event, whose answer nobody waits for."""
        gevent.sleep(AGAIN_S)
        self._fleet.deliver(part, [task], (self._rng.random(), self._rng.random()), self._attempts.record)

    def waiting(self) -> tuple[int, float]:
        """As :class:`Invoking` says."""
        return len(self._waiting), min((task.due_s for task in self._waiting), default=nan)

    def close(self) -> None:
        """As :class:`Invoking` says."""
        self._seconds.kill(timeout=1.0)


class Message:
    """What a queue keeps until the function has dealt with it; ``row`` is of its newest attempt.

    ``draws`` are for the container that serves it, and it came, or came again, at ``came_s``.
    """

    __slots__ = ("came_s", "draws", "gone", "receives_count", "row", "task")

    def __init__(self, task: Task, draws: Draws, row: Invocation, came_s: float) -> None:
        self.task, self.draws, self.row, self.came_s = task, draws, row, came_s
        self.receives_count = 0
        self.gone = Event()  # deleted, or in the dead-letter queue


class Queue:
    """An SQS queue for each function, and its pollers.

    What a function has not dealt with is visible again after ``visibility_timeout_s``, and goes to the
    dead-letter queue once it has been received ``max_receives`` times. A batch that is throttled is tried
    again until then.
    """

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        clock: Clock,
        final: Final,
        tried: Tried,
        worker: int = 0,
        workers_count: int = 1,
        parts: Sequence[str] = (),
    ) -> None:
        """``final`` is called with the row of each message, ``tried`` with each attempt at one.

        ``parts`` are the names of the functions, ``worker`` is the number of this one. The limits are divided
        among ``workers_count``.
        """
        self._settings, self._fleet, self._clock, self._final = settings, fleet, clock, final
        self._attempts = Attempts(worker, tried)
        self._rng = Random(f"{settings.seed}/queue/{worker}")
        self._visible: dict[str, deque[Message]] = {part: deque() for part in parts}
        self._invisible: list[tuple[float, int, str, Message, int]] = []
        self._numbers = count()
        most = share_of(settings.maximum_concurrency or MOST_COUNT, worker, workers_count)
        first, per_minute = share_of(FIRST_COUNT, worker, workers_count), PER_MINUTE / workers_count
        self._pollers = {part: Pollers(first, per_minute, most) for part in parts}
        self._busy_counts = dict.fromkeys(parts, 0)
        self._changed = Event()
        self._batches = Group()
        self._work = gevent.spawn(self._poll)

    def arrive(self, client: int, arrival: Arrival, due_s: float) -> None:
        """As :class:`Invoking` says of ``client``, ``arrival`` and ``due_s``."""
        part, task = self._fleet.part_of(arrival.part_draw), Task(client, arrival.number, due_s)
        message = self._put(part, task, (arrival.reap_draw, arrival.zombie_draw))
        if self._rng.random() < self._settings.duplicate_ratio:
            self._put(part, task, (self._rng.random(), self._rng.random()))
        is_over = False
        try:
            message.gone.wait()
            is_over = True
        finally:
            message.gone.set()
            self._final(message.row if is_over else message.row._replace(error=UNFINISHED))

    def _put(self, part: str, task: Task, draws: Draws) -> Message:
        message = Message(task, draws, self._fleet.throttled(part, task), self._clock.now())
        self._visible[part].append(message)
        self._changed.set()
        return message

    def _poll(self) -> None:
        while True:
            self._changed.wait(LOOK_S)
            self._changed.clear()
            now_s = self._clock.now()
            self._return(now_s)
            for part, visible in self._visible.items():
                while self._pollers[part].may_invoke(now_s, self._busy_counts[part], len(visible)):
                    batch = self._received(part, now_s)
                    if not batch:
                        break
                    self._busy_counts[part] += 1
                    self._batches.spawn(self._invoke, part, batch, now_s)

    def _received(self, part: str, now_s: float) -> list[Message]:
        """The next batch; empty while the window in which it may become larger is not over."""
        visible, settings = self._visible[part], self._settings
        is_full = len(visible) >= settings.batch_size
        if not is_full and now_s - visible[0].came_s < settings.batch_window_s:
            return []
        batch: list[Message] = []
        while visible and len(batch) < settings.batch_size:
            message = visible.popleft()
            if not message.gone.is_set():  # the run is over
                batch.append(message)
        for message in batch:
            message.receives_count += 1
            until_s = now_s + settings.visibility_timeout_s
            entry = until_s, next(self._numbers), part, message, message.receives_count
            heapq.heappush(self._invisible, entry)
        return batch

    def _return(self, now_s: float) -> None:
        """Makes visible again what nobody has dealt with in time."""
        while self._invisible and self._invisible[0][0] <= now_s:
            _, _, part, message, receives_count = heapq.heappop(self._invisible)
            if message.gone.is_set() or message.receives_count != receives_count:
                continue
            if receives_count >= self._settings.max_receives:
                message.gone.set()
            else:
                message.came_s = now_s
                self._visible[part].append(message)

    def _invoke(self, part: str, batch: list[Message], received_s: float) -> None:
        """Hands a batch to the function, again and again while it is throttled."""
        tasks, draws = [message.task for message in batch], batch[0].draws
        until_s, wait_s = received_s + self._settings.visibility_timeout_s, THROTTLED_S[0]
        try:
            while not self._fleet.deliver(part, tasks, draws, partial(self._tried, batch)):
                self._tried(batch, [self._fleet.throttled(part, task) for task in tasks])
                wait_s = min(2 * wait_s, THROTTLED_S[1])
                if self._clock.now() + wait_s > until_s:
                    return
                gevent.sleep(wait_s * (0.5 + 0.5 * self._rng.random()))
        finally:
            self._busy_counts[part] -= 1
            self._changed.set()

    def _tried(self, batch: list[Message], rows: list[Invocation]) -> None:
        self._attempts.record(rows)
        for message, row in zip(batch, rows, strict=True):
            if message.gone.is_set():  # a second delivery, or the run is over
                continue
            message.row = row
            if row.error == "":
                message.gone.set()

    def waiting(self) -> tuple[int, float]:
        """As :class:`Invoking` says; the oldest by its own time, as CloudWatch has it."""
        left = [m for visible in self._visible.values() for m in visible if not m.gone.is_set()]
        return len(left), min((message.task.due_s for message in left), default=nan)

    def close(self) -> None:
        """As :class:`Invoking` says."""
        self._work.kill(timeout=1.0)
        self._batches.kill(timeout=1.0)


def invoking_of(
    settings: Settings, fleet: Fleet, clock: Clock, final: Final, tried: Tried, worker: int,
    workers_count: int, parts: Sequence[str],
) -> Invoking:  # fmt: skip
    """What the ``settings`` ask for; ``final``, ``tried``, ``worker`` and ``parts`` as in :class:`Queue`."""
    if settings.invoke == "async":
        return Asynchronous(settings, fleet, final, tried, worker)
    if settings.invoke == "queue":
        return Queue(settings, fleet, clock, final, tried, worker, workers_count, parts)
    return Api(fleet)
