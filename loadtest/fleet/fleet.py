"""Which container serves an arrival; scaling limits, throttling, reaping."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any

import gevent
import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.fleet.clock import Clock
from loadtest.fleet.container import Container, Event, State
from loadtest.fleet.given import Connector, Context
from loadtest.fleet.limits import Scaling, share_of
from loadtest.fleet.pool import Pool, Pooled
from loadtest.fleet.shapes import Arrival
from loadtest.fleet.strategies import Part
from loadtest.fleet.wire import FunctionTimeout, Meter, tls_arguments
from loadtest.fleet.workload import Work
from loadtest.fleet.zombies import Book
from loadtest.manager.errors import code_of, symbols
from loadtest.records import THROTTLED, TIMEOUT, UNFINISHED, Invocation
from loadtest.settings import Settings


class Fleet:
    """The containers of one worker. ``done`` is told every row."""

    def __init__(
        self,
        settings: Settings,
        parts: list[Part],
        server: Dsn,
        book: Book,
        clock: Clock,
        done: Callable[[Invocation], None],
        worker: int = 0,
        workers_count: int = 1,
        pool_size: int = 0,
    ) -> None:
        self.settings = settings
        self.book = book
        self._clock = clock
        self._done = done
        self._worker = worker
        self._work_s = settings.work_ms / 1000
        self._names = [part.name for part in parts]
        self._bounds = list(accumulate(part.share for part in parts))
        self.arguments = {**server.connect_arguments(), "autocommit": True, **tls_arguments(settings.tls)}
        self._pool = self._open_pool(pool_size) if parts[0].spec == "ideal" else None
        self._factories = {part.name: self._factory(part) for part in parts}
        self._idle: dict[str, deque[Container]] = {name: deque() for name in self._names}
        self._concurrency_limit = share_of(settings.concurrency_limit, worker, workers_count)
        self._scaling = Scaling(settings.scaling_per_10s / workers_count)
        self._rng = Random(f"{settings.seed}/fleet/{worker}")
        self._numbers = 0
        self._in_service: dict[Container, tuple[float, Any] | None] = {}
        self.resting: set[Container] = set()  # frozen ones of the closed model
        self.containers_count = 0

    def _factory(self, part: Part) -> Callable[[Connector], Any]:
        if self._pool is not None:
            pool = self._pool
            return lambda connect: Pooled(pool, connect.meter)
        return part.factory()

    def _open_pool(self, size: int) -> Pool:
        # Opened before the load: their connects are nobody's, and cost no time that is measured. A pool
        # keeps its connections, whatever the server does with idle ones of others.
        kept = partial(Connector(self, Meter(-1)), init_command="SET SESSION wait_timeout = 28800")
        try:
            return Pool(kept, size)
        except pymysql.MySQLError as error:
            raise ServerUnavailable(
                f"ideal cannot open its {size} connections ({label(error)}): somebody else has some of them; "
                "leave those free with a larger --ideal-reserve, or leave ideal out"
            ) from None

    @property
    def in_service_count(self) -> int:
        """Containers that come up or serve an invocation."""
        return len(self._in_service)

    def containers(self) -> Iterator[Container]:
        """All that are there; a new one that waits for its first invocation (closed model) is not yet."""
        for idle in self._idle.values():
            yield from idle
        yield from self._in_service
        yield from self.resting

    @property
    def busy_count(self) -> int:
        """Containers that serve an invocation."""
        return sum(service is not None for service in self._in_service.values())

    def part_of(self, draw: float) -> str:
        """The part of a mixed fleet that a draw in [0, 1) falls to."""
        return self._names[min(bisect_right(self._bounds, draw), len(self._names) - 1)]

    # Open model

    def arrive(self, client: int, arrival: Arrival, due_s: float) -> None:
        """Serves one arrival to its end; run in a greenlet of its own."""
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
        """The container goes: without a word, or with its function told."""
        container.move(Event.REAP)
        self.containers_count -= 1
        if leave_zombie:
            self.book.reaped(container.number)
        else:
            close = getattr(container.function, "close", None)
            if close is not None:
                with suppress(Exception):  # a function's last words change nothing
                    close()
        container.function = None

    def reap_idle(self) -> None:
        """Those that were not called for the idle timeout; the longest idle are in front."""
        before_s = self._clock.now() - self.settings.idle_timeout_s
        for idle in self._idle.values():
            while idle and idle[0].frozen_at_s < before_s:
                self.reap(idle.popleft(), leave_zombie=self._rng.random() < self.settings.zombie_ratio)

    def deploy(self) -> None:
        """New code: yesterday's containers go at once, busy ones when they have answered."""
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
        """Brings the container up if it is new, runs the function, records the row."""
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
            error = self._run(container, work, Context(clock, deadline_s, work.id))
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

    def _run(self, container: Container, work: Work, context: Context) -> str:
        try:
            if container.function is None:
                container.function = self._factories[container.part](Connector(self, container.meter))
            container.function.invoke(work, context)
        except FunctionTimeout:
            return TIMEOUT
        except pymysql.MySQLError as problem:
            # A function that is cut may turn that into an error of its own on its way out.
            return TIMEOUT if container.meter.cut else label(problem)
        except Exception as problem:
            return TIMEOUT if container.meter.cut else type(problem).__name__
        return TIMEOUT if container.meter.cut else ""

    def cut_overdue(self) -> None:
        """Ends the functions that have outlived their timeout; to be called often.

        One look at all of them costs less than a timer for each.
        """
        now_s = self._clock.now()
        overdue = [
            (container, service)
            for container, service in self._in_service.items()
            if service is not None and service[0] <= now_s and not container.meter.cut
        ]
        for container, service in overdue:
            self._cut(container, service)

    def _cut(self, container: Container, service: tuple[float, Any]) -> None:
        """At the function's timeout: first its connections, then itself.

        In this order, because a real function runs no code any more once it is cut, while ours
        still unwinds: whatever it tries on its way meets a dead connection.
        """
        container.meter.cut = True
        if self.settings.timeout_leaves == "zombie":
            self.book.reaped(container.number)
        else:
            self.book.cut(container.number)
        gevent.get_hub().loop.run_callback(self._throw, container, service)

    def _throw(self, container: Container, service: tuple[float, Any]) -> None:
        # It may have ended by itself since; what its greenlet does now is not to be cut.
        if self._in_service.get(container) is service:
            service[1].throw(FunctionTimeout())

    def _cut_off(self, container: Container) -> None:
        """The service initialises the environment anew: for us, a container that is gone."""
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


def label(error: pymysql.MySQLError) -> str:
    """``1040 ER_CON_COUNT_ERROR``; the error's type where there is no number."""
    code = code_of(error)
    if not code:
        return type(error).__name__
    return f"{code} {symbols().get(code, 'unknown')}"
