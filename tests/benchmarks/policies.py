"""Policies that were tried: strategies for the runs of docs/policy.md, one idea changed in each."""

from loadtest.fleet.strategies import WithManager
from loadtest.manager import Managed


def variant(**changes):
    policy = Managed(**changes)
    return lambda connect: WithManager(connect, policy)


lease_of_2 = variant(lease_s=2)
no_long_lease = variant(long_lease_s=1)
first_gap_believed = variant(unproven_gap_s=0.0)
gap_50 = variant(gap_s=0.05)
always_look = variant(look_every_count=1, look_every_s=0.0)
look_each_second = variant(look_every_count=1)
keep_when_busy_never = variant(tight_ratio=1.0)
calm_at_70 = variant(calm_ratio=0.7)
