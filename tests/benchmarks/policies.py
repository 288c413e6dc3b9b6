"""Policies that were tried: strategies for the runs of docs/policy.md, one idea changed in each."""

from dataclasses import dataclass
from random import SystemRandom

from loadtest.fleet.strategies import WithManager
from loadtest.manager import CircuitBreaker, Managed
from loadtest.manager.backoff import patient
from loadtest.manager.decision import AskPressure, Close, Keep


def variant(policy=Managed, **changes):
    chosen = policy(**changes)
    return lambda connect: WithManager(connect, chosen)


first_gap_believed = variant(unproven_gap_s=0.0)
unproven_half = variant(unproven_gap_s=0.5)
lease_of_2 = variant(lease_s=2)
no_long_lease = variant(long_lease_s=1)
gap_50 = variant(gap_s=0.05)
calm_at_70 = variant(calm_ratio=0.7)
ask_every_time = variant(ask_every_count=1, ask_every_s=0.0)
ask_every_10 = variant(ask_every_count=10)
full_is_like_tight = variant(tight_ratio=1.0)


@dataclass(frozen=True, slots=True)
class KeepingTheFirst(Managed):
    """A new container, too, keeps its connection on a server that is calm."""

    first_ratio: float = 0.25

    def decide(self, situation):
        if situation.rhythm.invocations_count > 1:
            return Managed.decide(self, situation)
        if situation.census is None:
            return AskPressure(self.limit_cache_s)
        return Keep() if situation.census.pressure_ratio <= self.first_ratio else Close()


first_kept_at_25 = variant(KeepingTheFirst, first_ratio=0.25)
first_kept_at_50 = variant(KeepingTheFirst, first_ratio=0.5)


class AlwaysKept(Managed):
    """A lease and nothing else."""

    def decide(self, _situation):
        return Keep()


always_kept = variant(AlwaysKept)


class KeptWhileFull(Managed):
    """Whoever knows that the server is full keeps its connection."""

    def decide(self, situation):
        census = self._current(situation)
        is_full = census is not None and census.pressure_ratio > self.tight_ratio
        return Keep() if is_full and situation.rhythm.gap_mean_s <= 1 else Managed.decide(self, situation)


kept_while_full = variant(KeptWhileFull)


def full_backoff(connect):
    made = WithManager(connect)
    made._db = type(made._db)(library=connect, backoff="full")
    return made


def no_backoff(connect):
    """Worse on purpose: who is refused tries again at once."""
    made = WithManager(connect)
    made._db = type(made._db)(library=connect, backoff=lambda _waited_s, _count: 0.001)
    return made


def long_lease_no_backoff(connect):
    """Worse on purpose: twice the lease, everything is kept, and no backoff."""
    made = WithManager(connect)
    made._db = type(made._db)(
        library=connect, policy=AlwaysKept(lease_s=2), backoff=lambda _waited_s, _count: 0.001
    )
    return made


def hurried(rng):
    """Until the collapse was found: it does not heed how long a refusal took."""
    waits = patient(rng, slowest_s=2.0)
    return lambda last_s, tries_count, _try_s=0.0: waits(last_s, tries_count)


def as_it_was(connect):
    """Until it was found to collapse at 1,000 arrivals a second: it hurries at the door of a full server."""
    made = WithManager(connect)
    policy = Managed(slow_connect_s=1e6)
    made._db = type(made._db)(library=connect, policy=policy, backoff=hurried(SystemRandom()))
    return made


class Leased(Managed):
    """Reckons with its lease also where a proxy shares connections."""

    def for_server(self, version):
        del version
        return self


leased_behind_router = variant(Leased)


def with_breaker(connect):
    """The manager with a circuit breaker: docs/patterns.md."""
    return WithManager(connect, breaker=CircuitBreaker())
