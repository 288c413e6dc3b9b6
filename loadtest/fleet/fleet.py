"""Which container serves an arrival; scaling limits, throttling, reaping."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from math import nan
from random import Random
from typing import Any, NamedTuple

import gevent
from gevent.pool import Group

from loadtest.fleet.arrivals import Arrival
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter
from loadtest.fleet.container import Container, Event, Reap, State
from loadtest.fleet.context import Context
from loadtest.fleet.runtime import Runtime, name_of
from loadtest.fleet.scaling import REQUESTS_PER_S, SCALING_S, Allowance, share_of
from loadtest.fleet.workload import Batch, Work
from loadtest.results.rows import THROTTLED, UNFINISHED, Invocation, Start
from loadtest.settings.plan import Settings
from loadtest.settings.reserved import reserved_in
from loadtest.settings.strategy import Part


class Task(NamedTuple):
    """An arrival that a function serves: number ``number`` of ``client``, due on the run's clock."""

    client: int
    number: int
    due_s: float


Draws = tuple[float, float]  # in [0, 1): whether the container is reaped afterwards, and how
Done = Callable[[list[Invocation]], None]


class Fleet:
    """The containers of one worker."""

    def __init__(
        self,
        settings: Settings,
        parts: list[Part],
        runtime: Runtime,
        clock: Clock,
        done: Callable[[Invocation], None],
        worker: int = 0,
        workers_count: int = 1,
        came_up: Callable[[Start], None] = lambda _: None,
    ) -> None:
        """``done`` is called with every row, ``came_up`` with each start of a real function's container.

        The limits of ``settings`` are divided among ``workers_count``.
        """
        self._came_up = came_up
        self._real = {part.name for part in parts if part.is_real}
        self.settings = settings
        self._runtime = runtime
        self._clock = clock
        self._done = done
        self._worker = worker
        self._work_s = settings.work_ms / 1000
        self._names = [part.name for part in parts]
        self._timeouts_s = {name: runtime.timeout_s(name) for name in self._names}
        self._bounds = list(accumulate(part.share for part in parts))
        self._slots_counts = {name: runtime.slots_count(name) for name in self._names}
        self._idle: dict[str, deque[Container]] = {name: deque() for name in self._names}
        self._scaling = Allowance(share_of(settings.scaling_per_10s, worker, workers_count), SCALING_S)
        self._reserved = {
            part: share_of(most, worker, workers_count)
            for part, most in reserved_in(settings.reserved, self._names).items()
        }
        whole = sum(reserved_in(settings.reserved, self._names).values())
        self._unreserved = share_of(max(0, settings.concurrency_limit - whole), worker, workers_count)
        self._requests = {
            part: Allowance(REQUESTS_PER_S * most, 1.0)
            for part, most in {**self._reserved, "": self._unreserved}.items()
        }
        self._running_counts: dict[str, int] = dict.fromkeys(self._requests, 0)
        self._rng = Random(f"{settings.seed}/fleet/{worker}")
        self._numbers = 0
        self._in_service: dict[Container, tuple[float, Any] | None] = {}
        self.resting: set[Container] = set()  # frozen ones of the closed model
        self.containers_count = 0
        # Of the provisioned ones, how many are not there yet.
        self.unready_count = share_of(settings.provisioned, worker, workers_count)

    def __repr__(self) -> str:
        return f"<Fleet {self.containers_count} containers, {self.busy_count} busy>"

    @property
    def in_service_count(self) -> int:
        """Containers that are starting or serving an invocation."""
        return len(self._in_service)

    def containers(self) -> Iterator[Container]:
        """All containers, without those of the closed model that wait for their first invocation."""
        for idle in self._idle.values():
            yield from idle
        yield from self._in_service
        yield from self.resting

    @property
    def busy_count(self) -> int:
        """Containers that serve an invocation."""
        return sum(service is not None for service in self._in_service.values())

    def part_of(self, draw: float) -> str:
        """The part of a mixed fleet that a draw in [0, 1) selects."""
        return self._names[min(bisect_right(self._bounds, draw), len(self._names) - 1)]

    # Open model

    def arrive(self, client: int, arrival: Arrival, due_s: float) -> None:
        """Serves one arrival of a client to its end; runs in its own greenlet.

        ``client`` is the client's number, ``due_s`` the time for which it is due, on the run's clock.
        """
        part, task = self.part_of(arrival.part_draw), Task(client, arrival.number, due_s)
        draws = arrival.reap_draw, arrival.zombie_draw
        if not self.deliver(part, [task], draws, self._done_with):
            self._done(self.throttled(part, task))

    def deliver(self, part: str, tasks: Sequence[Task], draws: Draws, done: Done) -> bool:
        """One invocation of the function ``part`` for all ``tasks``, to its end; False if it is throttled.

        ``done`` is called with a row for each of them, also if the greenlet is killed meanwhile. ``draws``
        say what becomes of the container afterwards.
        """
        pool = part if part in self._reserved else ""
        limit, now_s = self._reserved.get(part, self._unreserved), self._clock.now()
        if self._running_counts[pool] >= limit or not self._requests[pool].take(now_s):
            return False
        container = self._take_idle(part)
        if container is None:
            # Several to an environment: none is started because an arrival comes.
            if self._slots_counts[part] > 1 or not self._scaling.take(now_s):
                return False
            container = self.new_container(part)
        self._running_counts[pool] += 1
        try:
            self._serve(container, tasks, draws, done)
        finally:
            self._running_counts[pool] -= 1
        return True

    def throttled(self, part: str, task: Task) -> Invocation:
        """The row of a ``task`` that no container of the function ``part`` serves."""
        return Invocation(self._worker, task.number, task.client, -1, part, task.due_s, error=THROTTLED)

    def _done_with(self, rows: list[Invocation]) -> None:
        for row in rows:
            self._done(row)

    def _take_idle(self, part: str) -> Container | None:
        """The one that was used last, unless its process has ended since."""
        idle = self._idle[part]
        while idle:
            container = idle.pop()
            if not self.drop_if_lost(container):
                return container
        return None

    def _serve(self, container: Container, tasks: Sequence[Task], draws: Draws, done: Done) -> None:
        self._invoke(container, tasks, done)
        settings, (reap_draw, zombie_draw) = self.settings, draws
        if container.state is State.GONE:
            return
        if self._slots_counts[container.part] > 1:
            self._idle[container.part].append(container)
        elif container.stale or reap_draw < settings.reap_probability:
            self.reap(container, self.how_reaped(zombie_draw))
        else:
            self._idle[container.part].append(container)

    # Containers

    def new_container(self, part: str) -> Container:
        """A container for the function ``part``, with a number that no other of the repetition has."""
        self._numbers += 1
        self.containers_count += 1
        number = self._worker * 10_000_000 + self._numbers
        return Container(number, part, Meter(number))

    def provision(self) -> None:
        """Starts the containers that are to be there before the load, and returns when all of them are."""
        starting, count = Group(), self.unready_count
        try:
            for number in range(count):
                starting.spawn(self._provision, (number + 0.5) / count)
            starting.join()
        finally:  # the run may be over before all are there
            starting.kill(block=False)

    def _provision(self, draw: float) -> None:
        container = self.new_container(self.part_of(draw))
        self._start(container)
        container.meter.reset()  # no invocation's
        if self._runtime.is_lost(container):  # an arrival that gets a new one will hear why
            self._cut_off(container)
            return
        self.unready_count -= 1
        others = [self.new_container(container.part) for _ in range(self._slots_counts[container.part] - 1)]
        for one in (container, *others):
            if one is not container:
                self._runtime.share(container, one)
            one.move(Event.UP)
            one.frozen_at_s = self._clock.now()
            self._idle[one.part].append(one)

    def how_reaped(self, draw: float) -> Reap:
        """How a container with this ``draw`` in [0, 1) is reaped."""
        told_from = 1 - self.settings.graceful_ratio
        if draw >= told_from:
            return Reap.TOLD
        return Reap.ZOMBIE if draw < told_from * self.settings.zombie_ratio else Reap.CLOSED

    def _start(self, container: Container) -> float:
        """Returns how many seconds of it are cold start, and no latency."""
        at_s = self._clock.now()
        cold_start_s = self._runtime.start(container)
        if container.part in self._real and not self._runtime.is_lost(container):
            connect_s: float = container.meter.connect_s
            self._came_up(
                Start(self._worker, container.number, container.part, at_s, cold_start_s, connect_s)
            )
        return cold_start_s

    def reap(self, container: Container, how: Reap) -> None:
        """Reaps a container; ``how`` says what becomes of its connections."""
        container.move(Event.REAP)
        self.containers_count -= 1
        self._runtime.reap(container, how)

    def reap_idle(self) -> None:
        """Reaps containers that were idle for longer than the idle timeout; the longest idle come first."""
        before_s = self._clock.now() - self.settings.idle_timeout_s
        for part, idle in self._idle.items():
            while idle and idle[0].frozen_at_s < before_s and self._slots_counts[part] == 1:
                self.reap(idle.popleft(), self.how_reaped(self._rng.random()))

    def deploy(self) -> None:
        """A deployment: idle containers are reaped at once, busy ones when they have answered."""
        for idle in self._idle.values():
            while idle:
                self.reap(idle.popleft(), self.how_reaped(self._rng.random()))
        for container in sorted(self.resting, key=lambda resting: resting.number):
            self.reap(container, self.how_reaped(self._rng.random()))
        self.resting.clear()
        for container in self._in_service:
            container.stale = True

    # One invocation

    def invoke(self, container: Container, client: int, number: int, due_s: float) -> Invocation:
        """Starts the container if it is new, runs its function, and records the row.

        ``client`` is the client's number, ``number`` counts its arrivals from 0, and ``due_s`` is the time
        for which this one is due, on the run's clock.
        """
        return self._invoke(container, [Task(client, number, due_s)], self._done_with)[0]

    def _invoke(self, container: Container, tasks: Sequence[Task], done: Done) -> list[Invocation]:
        try:
            rows = self._answer(container, tasks, done)
            self._runtime.finish(container)  # within its timeout, too
        finally:
            del self._in_service[container]
        container.frozen_at_s = self._clock.now()
        if container.meter.cut or self._runtime.is_lost(container):
            self._cut_off(container)
        else:
            container.move(Event.ANSWER)
        return rows

    def _answer(self, container: Container, tasks: Sequence[Task], done: Done) -> list[Invocation]:
        settings, clock, meter = self.settings, self._clock, container.meter
        self._in_service[container] = None  # coming up: not yet to be cut
        came_s, cold_start_s, started_s, error = 0.0, 0.0, nan, ""
        work: Work | Batch | None = None
        cold = container.state is State.COLD
        try:
            if cold:
                came_s = clock.now()
                cold_start_s = self._start(container)
                container.move(Event.UP)
            container.move(Event.INVOKE)
            container.invocations_count += 1
            kind, work_s = settings.workload, self._work_s
            works = [Work(kind, work_s, task.client, task.number, meter) for task in tasks]
            for one in works if settings.cache_hit_ratio else ():
                one.is_hit = self._is_hit(one)
            work = works[0] if settings.invoke != "queue" else Batch(works)
            started_s = clock.now()
            deadline_s = started_s + self._timeouts_s[container.part]
            self._in_service[container] = (deadline_s, gevent.getcurrent())
            error = self._runtime.invoke(container, work, Context(clock, deadline_s, work.id))
        except BaseException:  # killed with what is in flight
            error = UNFINISHED
            raise
        finally:
            finished_s = clock.now()
            if work is None and cold:  # while it was coming up
                cold_start_s = finished_s - came_s
            whole = self._row(container, tasks[0], started_s, finished_s, cold, cold_start_s, work, error)
            rows = [whole] if len(tasks) == 1 else self._rows(whole, tasks)
            if isinstance(work, Batch) and not error:
                rows = [row._replace(error=name_of(work.error_of(row.client, row.arrival))) for row in rows]
            done(rows)
            meter.reset()
        return rows

    def _is_hit(self, work: Work) -> bool:
        """Whether the cache has what it asks for; drawn for the arrival, so the same for every strategy."""
        return Random(f"{self.settings.seed}/cache/{work.id}").random() < self.settings.cache_hit_ratio

    def _rows(self, whole: Invocation, tasks: Sequence[Task]) -> list[Invocation]:
        """What an invocation did, and that it was a cold one, is in its first row alone: sums stay right."""
        nothing = Invocation(
            self._worker, 0, 0, whole.container, whole.part, 0.0, whole.started_s, whole.finished_s,
            cold_start_s=whole.cold_start_s, error=whole.error,
        )  # fmt: skip
        others = [
            nothing._replace(arrival=task.number, client=task.client, due_s=task.due_s) for task in tasks[1:]
        ]
        return [whole, *others]

    def cut_overdue(self) -> None:
        """Stops functions that have exceeded their timeout; to be called often.

        Checking all of them costs less than a timer for each.
        """
        now_s = self._clock.now()
        overdue = [
            (container, service)
            for container, service in self._in_service.items()
            if service is not None and service[0] <= now_s and not container.meter.cut
        ]
        for container, service in overdue:
            self._runtime.cut(container, service[1], partial(self._is_in_service, container, service))

    def _is_in_service(self, container: Container, service: tuple[float, Any]) -> bool:
        return self._in_service.get(container) is service

    def drop_if_lost(self, container: Container) -> bool:
        """Whether an idle container's process has ended since, and the container with it."""
        is_lost = self._runtime.is_lost(container)
        if is_lost:
            self._cut_off(container)
        return is_lost

    def _cut_off(self, container: Container) -> None:
        """After a timeout or a crash the service starts a new environment, so this container is gone."""
        container.move(Event.REAP)
        self.containers_count -= 1
        self._runtime.discard(container)

    def _row(
        self, container: Container, task: Task, started_s: float, finished_s: float, cold: bool,
        cold_start_s: float, work: Work | Batch | None, error: str,
    ) -> Invocation:  # fmt: skip
        client, number, due_s = task
        if work is None:
            return Invocation(
                self._worker, number, client, container.number, container.part, due_s, started_s, finished_s,
                cold, cold_start_s, error=error,
            )  # fmt: skip
        meter, query_s = container.meter, work.query_s
        manage_s = finished_s - started_s - meter.connect_s - work.query_s - work.worked_s
        manage_s = max(0.0, manage_s)
        connect_s = meter.connect_s
        if container.part in self._real:
            query_s = manage_s = nan
        if self._slots_counts[container.part] > 1:
            connect_s = nan
        return Invocation(
            self._worker, number, client, container.number, container.part, due_s, started_s, finished_s,
            cold, cold_start_s, connect_s, query_s, manage_s, meter.connects_count,
            meter.retries_count, max(0, meter.commands_count - work.statements_count), error,
        )  # fmt: skip
