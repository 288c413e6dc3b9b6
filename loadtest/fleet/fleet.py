"""Which container serves an arrival; scaling limits, throttling, reaping."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any

import gevent

from loadtest.fleet.arrivals import Arrival
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter
from loadtest.fleet.container import Container, Event, State
from loadtest.fleet.context import Context
from loadtest.fleet.runtime import Runtime
from loadtest.fleet.scaling import Scaling, share_of
from loadtest.fleet.workload import Work
from loadtest.results.rows import THROTTLED, TIMEOUT, UNFINISHED, Invocation
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import Part


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
    ) -> None:
        """``done`` is called with every row.

        The limits of ``settings`` are divided among ``workers_count``.
        """
        self.settings = settings
        self._runtime = runtime
        self._clock = clock
        self._done = done
        self._worker = worker
        self._work_s = settings.work_ms / 1000
        self._names = [part.name for part in parts]
        self._bounds = list(accumulate(part.share for part in parts))
        self._idle: dict[str, deque[Container]] = {name: deque() for name in self._names}
        self._concurrency_limit = share_of(settings.concurrency_limit, worker, workers_count)
        self._scaling = Scaling(settings.scaling_per_10s / workers_count)
        self._rng = Random(f"{settings.seed}/fleet/{worker}")
        self._numbers = 0
        self._in_service: dict[Container, tuple[float, Any] | None] = {}
        self.resting: set[Container] = set()  # frozen ones of the closed model
        self.containers_count = 0

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
        """Serves one arrival to its end; runs in its own greenlet."""
        part = self.part_of(arrival.part_draw)
        idle = self._idle[part]
        if idle:
            self._serve(idle.pop(), client, arrival, due_s)
        elif len(self._in_service) >= self._concurrency_limit or not self._scaling.take(self._clock.now()):
            self._done(Invocation(self._worker, arrival.number, client, -1, part, due_s, error=THROTTLED))
        else:
            self._serve(self.new_container(part), client, arrival, due_s)

    def _serve(self, container: Container, client: int, arrival: Arrival, due_s: float) -> None:
        self.invoke(container, client, arrival.number, due_s)
        settings = self.settings
        if container.state is State.GONE:
            return
        if container.stale or arrival.reap_draw < settings.reap_probability:
            self.reap(container, leave_zombie=arrival.zombie_draw < settings.zombie_ratio)
        else:
            self._idle[container.part].append(container)

    # Containers

    def new_container(self, part: str) -> Container:
        self._numbers += 1
        self.containers_count += 1
        number = self._worker * 10_000_000 + self._numbers
        return Container(number, part, Meter(number))

    def reap(self, container: Container, *, leave_zombie: bool) -> None:
        """Reaps a container, leaving a zombie or telling its function."""
        container.move(Event.REAP)
        self.containers_count -= 1
        self._runtime.reap(container, leave_zombie=leave_zombie)

    def reap_idle(self) -> None:
        """Reaps containers that were idle for longer than the idle timeout; the longest idle come first."""
        before_s = self._clock.now() - self.settings.idle_timeout_s
        for idle in self._idle.values():
            while idle and idle[0].frozen_at_s < before_s:
                self.reap(idle.popleft(), leave_zombie=self._rng.random() < self.settings.zombie_ratio)

    def deploy(self) -> None:
        """A deployment: idle containers are reaped at once, busy ones when they have answered."""
        for idle in self._idle.values():
            while idle:
                self.reap(idle.popleft(), leave_zombie=self._rng.random() < self.settings.zombie_ratio)
        for container in sorted(self.resting, key=lambda resting: resting.number):
            self.reap(container, leave_zombie=self._rng.random() < self.settings.zombie_ratio)
        self.resting.clear()
        for container in self._in_service:
            container.stale = True

    # One invocation

    def invoke(self, container: Container, client: int, number: int, due_s: float) -> Invocation:
        """Starts the container if it is new, runs its function, and records the row."""
        settings, clock, meter = self.settings, self._clock, container.meter
        self._in_service[container] = None  # coming up: not yet to be cut
        came_s, cold_start_s, started_s, error, work = 0.0, 0.0, float("nan"), "", None
        cold = container.state is State.COLD
        try:
            if cold:
                came_s, cold_start_s = clock.now(), settings.cold_start_ms / 1000
                if cold_start_s:
                    gevent.sleep(cold_start_s)
                container.move(Event.UP)
            container.move(Event.INVOKE)
            container.invocations_count += 1
            work = Work(settings.workload, self._work_s, client, number, meter)
            started_s = clock.now()
            deadline_s = started_s + settings.function_timeout_s
            self._in_service[container] = (deadline_s, gevent.getcurrent())
            error = self._runtime.invoke(container, work, Context(clock, deadline_s, work.id))
        except BaseException:  # killed with what is in flight
            error = UNFINISHED
            raise
        finally:
            finished_s = clock.now()
            if work is None:  # while it was coming up
                cold_start_s = min(cold_start_s, finished_s - came_s)
            del self._in_service[container]
            row = self._row(
                container, client, number, due_s, started_s, finished_s, cold, cold_start_s, work, error
            )
            self._done(row)
            meter.reset()
        container.frozen_at_s = finished_s
        if error == TIMEOUT:
            self._cut_off(container)
        else:
            container.move(Event.ANSWER)
        return row

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

    def _cut_off(self, container: Container) -> None:
        """After a timeout the service starts a new environment, so this container is gone."""
        container.move(Event.REAP)
        self.containers_count -= 1
        container.function = None

    def _row(
        self, container: Container, client: int, number: int, due_s: float, started_s: float,
        finished_s: float, cold: bool, cold_start_s: float, work: Work | None, error: str,
    ) -> Invocation:  # fmt: skip
        if work is None:
            return Invocation(
                self._worker, number, client, container.number, container.part, due_s, started_s, finished_s,
                cold, cold_start_s, error=error,
            )  # fmt: skip
        meter = container.meter
        manage_s = finished_s - started_s - meter.connect_s - work.query_s - work.worked_s
        return Invocation(
            self._worker, number, client, container.number, container.part, due_s, started_s, finished_s,
            cold, cold_start_s, meter.connect_s, work.query_s, max(0.0, manage_s), meter.connects_count,
            meter.retries_count, max(0, meter.commands_count - work.statements_count), error,
        )  # fmt: skip
