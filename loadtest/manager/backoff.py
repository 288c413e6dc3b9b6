"""How long to wait before the next try. Pure: the random source is an argument.

Source of the formulas of :func:`full` and :func:`decorrelated`: M. Brooker, "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015; their bounds are those of serverless-mysql 2.1.0.
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
    """Anything between 0 and a bound that starts at ``base_s`` and doubles with each try, up to ``cap_s``."""

    def wait_s(_last_s: float, tries_count: int) -> float:
        # The exponent is limited, since 2.0 ** 1024 is too large for a float.
        return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(tries_count, 64)))

    return wait_s


def decorrelated(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """From ``base_s`` to three times the last wait, at most ``cap_s``: spreads sooner than :func:`full`."""

    def wait_s(last_s: float, _tries_count: int) -> float:
        return min(cap_s, rng.uniform(base_s, max(base_s, last_s * 3.0)))

    return wait_s


def patient(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """:func:`decorrelated` for the first two tries (about 10 ms), then slower with each try.

    A shortage that lasts longer is not a burst. From there on the bound doubles with each try, from
    ``cap_s`` up to 2 s, so the number of tries is logarithmic in the time waited: hundreds of waiters at
    a fixed cap would keep the server busy refusing them.
    """

    early = decorrelated(rng, base_s, cap_s)

    def wait_s(last_s: float, tries_count: int) -> float:
        if tries_count <= EARLY_COUNT:
            return early(last_s, tries_count)
        bound_s = min(max(cap_s, SLOWEST_S), cap_s * SLOWER ** min(tries_count - EARLY_COUNT, 64))
        return rng.uniform(bound_s / 2, bound_s)

    return wait_s


BY_NAME = {"full": full, "decorrelated": decorrelated, "patient": patient}
