"""How long to wait before the next try. Pure: the random source is an argument.

Source of `full` and `decorrelated`: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015; their bounds are those of serverless-mysql 2.1.0.
"""

from collections.abc import Callable
from random import Random

# (last wait in seconds, number of failed tries so far, this one included) -> seconds to wait
Backoff = Callable[[float, int], float]

BASE_S, CAP_S = 0.002, 0.1
SLOWEST_S = 2.0
EARLY_COUNT = 2
SLOWER = 2.0


def full(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """Anything between nothing and an exponentially growing bound."""

    def wait_s(_last_s: float, tries_count: int) -> float:
        # The exponent is bounded because 2.0 ** 1024 is no float any more.
        return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(tries_count, 64)))

    return wait_s


def decorrelated(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """Between the base and three times the last wait: spreads sooner than :func:`full`."""

    def wait_s(last_s: float, _tries_count: int) -> float:
        return min(cap_s, rng.uniform(base_s, max(base_s, last_s * 3.0)))

    return wait_s


def patient(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """Decorrelated for the first two tries (some 10 ms), then ever slower.

    A shortage that outlives those is no burst. From there on the bound doubles with each try, which
    makes the number of tries logarithmic in the time waited: hundreds of waiters at a fixed cap
    would keep the server busy with refusing them.
    """

    early = decorrelated(rng, base_s, cap_s)

    def wait_s(last_s: float, tries_count: int) -> float:
        if tries_count <= EARLY_COUNT:
            return early(last_s, tries_count)
        bound_s = min(max(cap_s, SLOWEST_S), cap_s * SLOWER ** min(tries_count - EARLY_COUNT, 64))
        return rng.uniform(bound_s / 2, bound_s)

    return wait_s


BY_NAME = {"full": full, "decorrelated": decorrelated, "patient": patient}
