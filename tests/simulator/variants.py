"""Policies by name: what there is, and what was tried for the storm (docs/policy.md)."""

from loadtest.manager import Classic, Managed
from loadtest.manager.backoff import patient
from tests.benchmarks.policies import AlwaysKept, hurried

NOTHING_IS_SLOW = Managed(slow_connect_s=1e6)


def impatient(rng):
    """Never waits for over a second between tries."""
    return patient(rng, slowest_s=1.0)


# The policy, and its backoff; None: the one that its manager would have.
POLICIES = {
    "managed": (Managed(), None),
    "classic": (Classic(), None),
    "before": (NOTHING_IS_SLOW, hurried),
    "calm": (NOTHING_IS_SLOW, None),
    "impatient": (Managed(), impatient),
    "always": (AlwaysKept(), None),
}
