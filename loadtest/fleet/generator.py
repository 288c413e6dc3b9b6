"""One worker's load in one repetition: its clients, its fleet, its rows, its health."""

import gc
import heapq
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import inf
from random import Random
from typing import Any, NamedTuple

import gevent
from gevent.event import Event
from gevent.pool import Group

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError, cannot_write
from loadtest.fleet import resolver
from loadtest.fleet.arrivals import Arrival, client_arrivals, profile
from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.container import State
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.health import TICK_S, Health
from loadtest.fleet.invoking import invoking_of
from loadtest.fleet.real.environment import INIT_S
from loadtest.fleet.recorder import Recorder
from loadtest.fleet.runtimes import runtime_of
from loadtest.fleet.scaling import share_of
from loadtest.results.csv_rows import CsvAppender
from loadtest.results.notice import Notice, Notices
from loadtest.results.rows import UNFINISHED, GeneratorSecond, Invocation
from loadtest.results.run_folder import Repetition
from loadtest.settings.load_shape import shape_points
from loadtest.settings.plan import Settings, drain_s
from loadtest.settings.strategy import parse
from loadtest.ways import NO_PROXIES, Way

LOGS = "logs"  # of real functions, a file for each container
LOOK_S = 0.02  # how exactly the end of a connection is known, and a timeout kept


class Assignment(NamedTuple):
    """What a worker needs besides the settings. Only ``worker`` differs between workers."""

    strategy: str
    t0_monotonic_s: float
    repetition: str
    users_count: int
    workers_count: int
    max_connections: int
    worker: int = 0


class Generator:
    """Arrivals are due from ``start_s`` to ``deadline_s`` on the run's clock, once it is started.

    ``told(row)``, if given, is called with every invocation, and ``failed(error)`` if results cannot be
    written. A user's own strategies are also looked up in the folder ``home``. ``notices`` say what faults
    do here; None where there are none. ``proxies`` are those in front of the ``server``, by name.
    """

    def __init__(
        self,
        settings: Settings,
        assignment: Assignment,
        server: Dsn,
        told: Callable[[Invocation], None] | None,
        failed: Callable[[LoadtestError], None],
        home: str = "",
        notices: Notices | None = None,
        proxies: Mapping[str, Way] = NO_PROXIES,
    ) -> None:
        self.settings = settings
        self.assignment = assignment
        self.clock = Clock(assignment.t0_monotonic_s)
        self.start_s = self.deadline_s = inf
        self.drained = Event()
        self._told = told
        self._failed = failed
        worker = assignment.worker
        repetition = Repetition.at(assignment.repetition)
        self._recorder = Recorder(repetition, worker, run_elsewhere)
        self._seconds = CsvAppender(repetition.generator, GeneratorSecond)
        self.book = Book(
            self.clock, worker, self._recorder.connection, self._recorder.kill, self._recorder.pin
        )
        parts = parse(assignment.strategy)
        pool = share_of(
            max(1, assignment.max_connections - settings.ideal_reserve), worker, assignment.workers_count
        )
        logs = repetition.path / LOGS
        self._notices, self._heeded = notices, Notice()
        self._server = server
        secret = self._secret if notices is not None else None
        self._runtime = runtime_of(settings, parts, server, self.book, pool, home, logs, secret, proxies)
        self.fleet = Fleet(
            settings, parts, self._runtime, self.clock, self._done, worker, assignment.workers_count,
            self._recorder.start,
        )  # fmt: skip
        self._invoking = invoking_of(
            settings, self.fleet, self.clock, self._done, self._recorder.attempt, worker,
            assignment.workers_count, [part.name for part in parts],
        )  # fmt: skip
        self.health = Health(self.clock, worker, self._recorder.lag)
        self._profile = profile(shape_points(settings.shape, settings.duration_s), settings.ramp_s)
        self._due: list[tuple[float, int, Arrival, Iterator[Arrival]]] = []
        self._left: set[int] = set()
        self._clients: set[int] = set()
        self._unsteady: set[int] = set()  # those that came too late for some of their load, or left early
        # Processes that wait for a core to start on come up first, and each is then as long at work.
        starts_s = INIT_S if any(part.is_real for part in parts) else 0.0
        self._drain_s = drain_s(settings) + starts_s
        self._is_stopped = False
        self._unready_count = 0
        self._joined = Event()
        self._in_flight = Group()
        self._handed: dict[tuple[int, int], tuple[Arrival, float]] = {}  # whose greenlet has not run yet
        self._background = Group()
        self._writer = gevent.Greenlet()
        self.newest: GeneratorSecond | None = None  # its health
        self._ending = Event()
        self._closed = False

    def __repr__(self) -> str:
        health = self.health
        return (
            f"<Generator {self.assignment.worker}: {len(self._clients)} clients, {health.arrivals_count} "
            f"arrivals, {health.errors_count} errors, {len(self._in_flight)} in flight>"
        )

    def start(self, start_s: float) -> None:
        """Starts everything; nothing arrives before ``start_s``."""
        self.start_s = start_s
        self.deadline_s = start_s + self.settings.duration_s
        # What is there now lives as long as the repetition: not to be walked by every collection.
        gc.collect()
        gc.freeze()
        for run in (
            self.fleet.provision,
            self._see_unready,
            self._tick,
            self._look,
            self._dispatch,
            self._deploy,
        ):
            self._background.spawn(run)
        self._writer = gevent.spawn(self._every_second)

    def join(self, user: int) -> None:
        """A client sends from its next arrival on; a container (closed model) begins its first life.

        ``user`` is the client's number, from 0 over all workers.
        """
        self._left.discard(user)
        if self._closed:
            return
        self._clients.add(user)
        if self.settings.model == "closed":
            self._in_flight.spawn(self._live, user)
            return
        settings = self.settings
        arrivals = client_arrivals(
            settings.seed, user, settings.rate_per_user, settings.arrivals == "even", self._profile
        )
        self._schedule(user, arrivals, self.clock.now() - self.start_s)
        self._joined.set()

    def leave(self, user: int) -> None:
        """A client sends no more; before the deadline, it counts as one that was not there throughout.

        ``user`` is the client's number.
        """
        self._left.add(user)
        if self.clock.now() < self.deadline_s:
            self._unsteady.add(user)

    def presence(self) -> tuple[int, int, int]:
        """How many clients took part, and how many of them from start to end.

        Then how many of the provisioned containers were not there at the start.
        """
        return len(self._clients), len(self._clients - self._unsteady), self._unready_count

    # Open model

    def _schedule(self, user: int, arrivals: Iterator[Arrival], from_s: float = -inf) -> None:
        arrival = next(arrivals)
        while arrival.due_s < from_s:
            self._unsteady.add(user)
            arrival = next(arrivals)
        due_s = self.start_s + arrival.due_s
        if due_s < self.deadline_s:
            heapq.heappush(self._due, (due_s, user, arrival, arrivals))

    def _dispatch(self) -> None:
        """Hands each arrival to the fleet when it is due, whether or not earlier ones have been answered."""
        while True:
            now_s = self.clock.now()
            if self._is_stopped and now_s < self.start_s:
                self._in_flight.kill(timeout=1.0)
                break
            next_s = min(self._due[0][0] if self._due else inf, self.deadline_s)
            if next_s >= self.deadline_s <= now_s:
                break  # whatever was due before it has been handed over
            if next_s > now_s:
                self._joined.clear()
                self._joined.wait(next_s - now_s)
                continue
            due_s, user, arrival, arrivals = heapq.heappop(self._due)
            if user in self._left:
                continue
            self._schedule(user, arrivals)
            self.health.late(now_s - due_s)
            self.health.due_count += 1
            self._handed[user, arrival.number] = arrival, due_s
            self._in_flight.spawn(self._arrive, user, arrival, due_s)
        self._drain()

    def _arrive(self, user: int, arrival: Arrival, due_s: float) -> None:
        del self._handed[user, arrival.number]
        self._invoking.arrive(user, arrival, due_s)

    def _kill_in_flight(self) -> None:
        """Their rows say `unfinished`; also of those whose turn in a crowded loop had not come."""
        self._in_flight.kill(timeout=1.0)
        handed, self._handed = self._handed, {}
        worker, part_of = self.assignment.worker, self.fleet.part_of
        for (user, number), (arrival, due_s) in handed.items():
            part = part_of(arrival.part_draw)
            self._done(Invocation(worker, number, user, -1, part, due_s, error=UNFINISHED))

    # Closed model

    def _live(self, user: int) -> None:
        """Invokes, freezes and reaps one container after another until the deadline."""
        settings, clock, fleet = self.settings, self.clock, self.fleet
        rng = Random(f"{settings.seed}/{user}")
        level = (user + 1) / max(1, self.assignment.users_count)
        begin_s = self.start_s + self._profile.when_level(level)
        if begin_s >= self.deadline_s:
            return
        if clock.now() > begin_s:
            self._unsteady.add(user)
        gevent.sleep(max(0.0, begin_s - clock.now()))
        container, born_s, number = fleet.new_container(fleet.part_of(rng.random())), clock.now(), 0
        think_s = settings.think_time_ms / 1000
        while clock.now() < self.deadline_s and user not in self._left:
            reap_draw, zombie_draw, pause_draw = rng.random(), rng.random(), rng.random()
            self.health.due_count += 1
            fleet.invoke(container, user, number, clock.now())
            number += 1
            gone = container.state is State.GONE
            old = container.frozen_at_s - born_s >= settings.lifetime_s
            if not gone and (old or container.stale or reap_draw < settings.reap_probability):
                fleet.reap(container, fleet.how_reaped(zombie_draw))
                gone = True
            if gone:
                container, born_s = fleet.new_container(container.part), clock.now()
            if think_s or gone:  # without, the wait for the next answer gives way to others
                if not gone:
                    fleet.resting.add(container)
                # Spread by a tenth: containers that keep the same pace end up in step, an artefact.
                gevent.sleep(think_s * (0.9 + 0.2 * pause_draw))
                fleet.resting.discard(container)
                # Since then there was a deployment, or its process has ended.
                if not gone and (container.state is State.GONE or fleet.drop_if_lost(container)):
                    container, born_s = fleet.new_container(container.part), clock.now()

    # The end

    def stop_arrivals(self) -> None:
        """Makes now the deadline, unless it has passed; before the start there is nothing to wait for."""
        self._is_stopped = True
        self.deadline_s = min(self.deadline_s, max(self.start_s, self.clock.now()))
        self._joined.set()

    def _drain(self) -> None:
        self._in_flight.join(timeout=self._drain_s)
        self._kill_in_flight()
        self.drained.set()

    def close(self, *, hurry: bool = False) -> None:
        """Waits for invocations in progress, unless in a hurry, and writes the last rows."""
        if self._closed:
            return
        self._closed = True
        self.stop_arrivals()
        if hurry:
            self._kill_in_flight()
        self.drained.wait(self._drain_s + 2.0)
        # Never killed: a part that its thread is still writing must be there when parts become one.
        self._ending.set()
        self._writer.join()
        self._invoking.close()
        self._background.kill(timeout=1.0)
        self.book.poll()
        self.book.close()
        self._runtime.close()
        try:
            self._recorder.close()
        except LoadtestError as error:
            self._failed(error)
        self._seconds.close()
        gc.unfreeze()

    # In the background

    def _done(self, row: Invocation) -> None:
        self._recorder.invocation(row)
        health = self.health
        health.arrivals_count += 1
        health.errors_count += row.error != ""
        if self._told is not None:
            self._told(row)

    def _tick(self) -> None:
        while True:
            wanted_s = self.clock.now() + TICK_S
            gevent.sleep(TICK_S)
            self.health.ticked(wanted_s, self.clock.now())

    def _look(self) -> None:
        while True:
            self.book.poll()
            self.fleet.cut_overdue()
            self._heed()
            gevent.sleep(LOOK_S)

    def _secret(self) -> str:
        """The password of the account, as a secrets manager would say."""
        assert self._notices is not None  # noqa: S101 (else nobody asks)
        return self._notices.newest().password or self._server.password

    def _heed(self) -> None:
        """Does what the bench's newest notice says."""
        newest = self._heeded if self._notices is None else self._notices.newest()
        if newest is self._heeded:
            return
        before, self._heeded = self._heeded, newest
        if newest.is_nameless != before.is_nameless:
            resolver.forget(self._server.host, is_nameless=newest.is_nameless)
        if newest.deploys_count > before.deploys_count:
            self.fleet.deploy()

    def _every_second(self) -> None:
        # In step with the load: writing rows takes some 10 ms of the loop, which hurts most half a second
        # after the start, when cold containers connect.
        next_s = max(self.start_s, self.clock.now())
        going = True
        while going:
            # Once more at the end: the last, shorter second counts too.
            going = not self._ending.wait(max(0.0, next_s - self.clock.now()))
            next_s += 1.0
            self.fleet.reap_idle()
            self.book.flush()
            try:
                self.newest = self._second()
                self._seconds.append(self.newest)
                self._recorder.flush()
            except LoadtestError as error:
                self._failed(error)
                return
            except OSError as error:
                self._failed(cannot_write(self._seconds.path, error))
                return

    def _second(self) -> GeneratorSecond:
        fleet, book = self.fleet, self.book
        row = self.health.second(
            fleet.in_service_count, fleet.containers_count, book.open_count, book.zombies_count,
            self._runtime.cpu_s(), book.shortages_count,
        )  # fmt: skip
        waiting = self._invoking.waiting()
        if waiting is not None:
            queued_count, since_s = waiting
            row = row._replace(
                queued_count=queued_count,
                queued_oldest_s=max(0.0, self.clock.now() - since_s) if queued_count else None,
            )
        return book.totals.written_into(row)

    def _see_unready(self) -> None:
        gevent.sleep(max(0.0, self.start_s - self.clock.now()))
        self._unready_count = self.fleet.unready_count

    def _deploy(self) -> None:
        at_s = self.settings.deploy_at_s
        if at_s > 0:
            gevent.sleep(max(0.0, self.start_s + at_s - self.clock.now()))
            self.fleet.deploy()


def run_elsewhere(function: Callable[[], Any]) -> None:
    """Runs a function in a native thread, while the loop goes on."""
    gevent.get_hub().threadpool.apply(partial(function))
