"""How long to wait before the next try. Pure: the random source is an argument.

Source of both: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from collections.abc import Callable
from random import Random

# (last wait in seconds, number of failed tries so far, random source) -> seconds to wait
Backoff = Callable[[float, int, Random], float]


def full(base_s: float = 0.002, cap_s: float = 0.1) -> Backoff:
    """Anything between nothing and an exponentially growing bound."""

    def wait_s(_last_s: float, tries_count: int, rng: Random) -> float:
        # 2**64 would overflow a float's exponent only much later, but costs nothing to bound.
        return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(tries_count, 64)))

    return wait_s


def decorrelated(base_s: float = 0.002, cap_s: float = 0.1) -> Backoff:
    """Between the base and three times the last wait: spreads sooner than :func:`full`."""

    def wait_s(last_s: float, _tries_count: int, rng: Random) -> float:
        return min(cap_s, rng.uniform(base_s, max(base_s, last_s * 3.0)))

    return wait_s
