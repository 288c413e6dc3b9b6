"""Policies that were tried: strategies for the runs of docs/policy.md, one idea changed in each.

Each repetition is a process of its own, so a variant may replace a decision in it.
"""

from loadtest.fleet.strategies import WithManager
from loadtest.manager import Managed, ending
from loadtest.manager.policy import Close, Keep, Look, decide_managed


def variant(**changes):
    policy = Managed(**changes)
    return lambda connect: WithManager(connect, policy)


first_gap_believed = variant(unproven_gap_s=0.0)
unproven_half = variant(unproven_gap_s=0.5)
lease_of_2 = variant(lease_s=2)
no_long_lease = variant(long_lease_s=1)
gap_50 = variant(gap_s=0.05)
calm_at_70 = variant(calm_ratio=0.7)
look_every_time = variant(look_every_count=1, look_every_s=0.0)
look_every_10 = variant(look_every_count=10)
full_is_like_tight = variant(tight_ratio=1.0)


def _keeping_the_first(ratio):
    """A new container, too, keeps its connection on a server that is calm."""

    def decide(rhythm, census, policy, lease_s):
        if rhythm.invocations_count > 1:
            return decide_managed(rhythm, census, policy, lease_s)
        if census is None:
            return Look()
        return Keep() if census.pressure_ratio <= ratio else Close()

    def strategy(connect):
        ending.decide_managed = decide
        return WithManager(connect)

    return strategy


first_kept_at_25 = _keeping_the_first(0.25)
first_kept_at_50 = _keeping_the_first(0.5)


def always_kept(connect):
    """A lease and nothing else."""
    ending.decide_managed = lambda *_: Keep()
    return WithManager(connect)


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
    ending.decide_managed = lambda *_: Keep()
    made = WithManager(connect, Managed(lease_s=2))
    made._db = type(made._db)(library=connect, policy=Managed(lease_s=2), backoff=lambda _w, _n: 0.001)
    return made
