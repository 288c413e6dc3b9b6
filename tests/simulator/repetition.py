"""One simulated repetition: arrivals, the fleets that serve them, and what came of it."""

from dataclasses import dataclass
from random import Random

import numpy as np

from loadtest.errors import UsageError
from loadtest.fleet.scaling import SCALING_S, Allowance, share_of
from loadtest.manager.backoff import BY_NAME
from tests.simulator.functions import THROTTLED, TIMEOUT, Cached, Direct, Ideal, Pool, WithManager
from tests.simulator.machine import Cores, OwnCore, Simulation
from tests.simulator.server import MEASURED, Costs, Server
from tests.simulator.variants import POLICIES

# Once a second each process of the generator writes its rows; more would be a lag that it reports.
WRITING_S = 0.012
LOOK_S = 0.02  # how exactly a timeout is kept
# Options of a run that change nothing here, with the only value that may be asked for.
FIXED = {
    "model": "open",
    "arrivals": "poisson",
    "shape": "",
    "ramp_s": 0.0,
    "warmup_s": 0.0,
    "deploy_at_s": 0.0,
    "provisioned": 0,
    "workload": "few-rows",
    "tls": "off",
}


@dataclass(frozen=True)
class World:
    """What is simulated: ``plan`` is a run's own (``loadtest/settings/plan.py``), steady and open.

    ``shares_cpu``: functions and server share ``cores_count`` cores, as in a run on one machine; else the
    server has them to itself, and each container one of its own. ``lease_s`` is how long a lease lasts, if
    not as long as the policy says: a real one is whole seconds.
    """

    plan: object
    costs: Costs = MEASURED
    shares_cpu: bool = True
    cores_count: int = 2
    lease_s: float | None = None

    def __post_init__(self):
        for name, value in FIXED.items():
            if getattr(self.plan, name) != value:
                raise UsageError(f"{name} {getattr(self.plan, name)!r} is not simulated, only {value!r}")


@dataclass(frozen=True)
class Outcome:
    """What became of each arrival, and counts of the server.

    Arrays with one value for each: when it was due, its latency without the cold start, and its error, ""
    for an answer. ``cpu_ratio`` is how busy the cores were while arrivals were due, from 0 to 1.
    """

    due_s: np.ndarray
    latency_s: np.ndarray
    error: np.ndarray
    connects_count: int
    refused_count: int
    cpu_ratio: float

    @property
    def answered(self):
        return self.error == ""

    def good_ratio(self, slo_s=1.0):
        """Answers within ``slo_s`` seconds, divided by all arrivals."""
        return float((self.answered & (self.latency_s <= slo_s)).mean())

    def p99_ms(self, from_s=0.0, to_s=np.inf):
        """Of the arrivals that were due in that time; NaN without an answer."""
        chosen = self.answered & (self.due_s >= from_s) & (self.due_s < to_s)
        return 1000 * float(np.quantile(self.latency_s[chosen], 0.99)) if chosen.any() else float("nan")

    def longest_s(self):
        return float(self.latency_s[self.answered].max()) if self.answered.any() else float("nan")

    def errors(self):
        """How many arrivals ended with each error."""
        names, counts = np.unique(self.error[~self.answered], return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


class Fleet:
    """The containers of one worker, as ``loadtest/fleet/fleet.py`` has them: newest first."""

    def __init__(self, sim, world, worker, client, make, rows):
        plan = world.plan
        self._sim = sim
        self._world = world
        self._client = client
        self._make = make
        self._rows = rows
        self._rate = plan.rate / plan.processes
        self._idle = []
        self._in_service_count = 0
        self._flows = {}  # of arrivals, by number
        self._running = {}  # by number: deadline, function, when it was due, its cold start; oldest first
        self._limit = share_of(plan.concurrency_limit, worker, plan.processes)
        self._scaling = Allowance(share_of(plan.scaling_per_10s, worker, plan.processes), SCALING_S)
        self._rng = Random(f"{plan.seed}/{worker}")

    def arrivals(self):
        """A flow: a Poisson process. What is drawn for an arrival does not depend on what happens."""
        sim, plan, draw, due_s, number = self._sim, self._world.plan, self._rng, 0.0, 0
        while True:
            due_s += draw.expovariate(self._rate)
            if due_s >= plan.duration_s:
                return
            if due_s > sim.now_s:
                yield None, due_s - sim.now_s
            number += 1
            is_reaped = draw.random() < plan.reap_probability
            is_zombie = draw.random() < plan.zombie_ratio
            self._flows[number] = self._arrive(number, due_s, is_reaped, is_zombie)
            sim.resume(self._flows[number])

    def writing(self):
        """A flow: what the process does besides."""
        while self._sim.now_s < self._world.plan.duration_s:
            yield None, 1.0
            yield self._client, WRITING_S

    def cutting(self):
        """A flow: the service stops functions that have reached their timeout."""
        sim, running = self._sim, self._running
        while True:
            yield None, LOOK_S
            while running:
                number, (deadline_s, function, due_s, cold_s) = next(iter(running.items()))
                if deadline_s > sim.now_s:
                    break
                del running[number]
                self._flows.pop(number).close()
                self._in_service_count -= 1
                self._rows.append((due_s, sim.now_s - due_s - cold_s, TIMEOUT))
                if function.connection is not None:
                    function.connection.is_busy = False
                    self._leave(function, self._world.plan.timeout_leaves == "zombie")

    def _arrive(self, number, due_s, is_reaped, is_zombie):
        sim, plan = self._sim, self._world.plan
        if self._world.shares_cpu:
            yield self._client, self._world.costs.invoke_s
        cold_s = 0.0
        if self._idle:
            function = self._idle.pop()
        elif self._in_service_count >= self._limit or not self._scaling.take(sim.now_s):
            del self._flows[number]
            self._rows.append((due_s, 0.0, THROTTLED))
            return
        else:
            function, cold_s = self._make(), plan.cold_start_ms / 1000
        self._in_service_count += 1
        if cold_s:
            yield None, cold_s
        deadline_s = sim.now_s + plan.function_timeout_s
        self._running[number] = (deadline_s, function, due_s, cold_s)
        error = yield from function.invoke(deadline_s)
        del self._running[number], self._flows[number]
        self._in_service_count -= 1
        self._rows.append((due_s, sim.now_s - due_s - cold_s, error))
        if is_reaped:
            self._leave(function, is_zombie)
        else:
            self._idle.append(function)

    def _leave(self, function, is_zombie):
        """The container is gone; a zombie's connection stays on the server."""
        if function.connection is not None and not is_zombie:
            self._sim.resume(function.server.close(function.connection, self._client))


def simulate(strategy, world):
    """Returns an :class:`Outcome`.

    ``strategy`` is a name, or a policy for the manager.
    """
    plan, sim, rows = world.plan, Simulation(), []
    cores = Cores(sim, world.cores_count)
    server = Server(sim, cores.threads(), plan.max_connections, world.costs, plan.rtt_ms / 1000)
    for worker in range(plan.processes):
        client = cores.loop() if world.shares_cpu else OwnCore(sim)
        make = _factory(strategy, world, server, client, worker)
        fleet = Fleet(sim, world, worker, client, make, rows)
        sim.resume(fleet.arrivals())
        sim.resume(fleet.cutting())
        if world.shares_cpu:
            sim.resume(fleet.writing())
    sim.run(plan.duration_s)
    busy_ratio = cores.busy_s / plan.duration_s / cores.count
    sim.run(plan.duration_s + plan.function_timeout_s + 1)
    due_s, latency_s, error = zip(*rows, strict=True) if rows else ((), (), ())
    return Outcome(
        np.array(due_s), np.array(latency_s), np.array(error, dtype=str), server.connects_count,
        server.refused_count, min(1.0, busy_ratio),
    )  # fmt: skip


def _factory(strategy, world, server, client, worker):
    plan = world.plan
    arguments = (server, client, plan.work_ms / 1000)
    if strategy in ("direct", "cached"):
        kind = {"direct": Direct, "cached": Cached}[strategy]
        return lambda: kind(*arguments)
    if strategy == "ideal":
        size = share_of(max(1, plan.max_connections - plan.ideal_reserve), worker, plan.processes)
        pool = Pool(server, size)
        return lambda: Ideal(*arguments, pool)
    policy, make_backoff = POLICIES[strategy] if isinstance(strategy, str) else (strategy, None)
    make_backoff = make_backoff or BY_NAME[policy.default_backoff]
    waits = make_backoff(Random(f"{plan.seed}/jitter/{worker}"))
    lease_s = policy.lease_s if world.lease_s is None else world.lease_s
    return lambda: WithManager(*arguments, policy, waits, lease_s or 0)
