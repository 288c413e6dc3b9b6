"""How long to wait before the next try. Pure: the random source is an argument, ``rng``.

Source of the formulas of :func:`full` and :func:`decorrelated`: M. Brooker, "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015; their bounds are those of serverless-mysql 2.1.0.
"""

from collections.abc import Callable
from random import Random

# (last wait in seconds, number of failed tries so far, this one included) -> seconds to wait. The backoffs
# here take a third argument: how many seconds the failed try took.
Backoff = Callable[..., float]

BASE_S, CAP_S = 0.002, 0.1
SLOWEST_S = 4.0
EARLY_COUNT = 2
SLOWER = 2.0
TRIES_COUNT = 80.0  # the first wait is at most so many times as long as the failed try


def full(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """Anything between 0 and a bound that starts at ``base_s`` and doubles with each try, up to ``cap_s``.

    ``rng`` is drawn from once for each wait.
    """

    def wait_s(_last_s: float, tries_count: int, _try_s: float = 0.0) -> float:
        # The exponent is limited, since 2.0 ** 1024 is too large for a float.
        return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(tries_count, 64)))

    return wait_s


def decorrelated(rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> Backoff:
    """From ``base_s`` to three times the last wait, at most ``cap_s``: spreads sooner than :func:`full`.

    ``rng`` is drawn from once for each wait.
    """

    def wait_s(last_s: float, _tries_count: int, _try_s: float = 0.0) -> float:
        return min(cap_s, rng.uniform(base_s, max(base_s, last_s * 3.0)))

    return wait_s


def patient(
    rng: Random, base_s: float = BASE_S, cap_s: float = CAP_S, slowest_s: float = SLOWEST_S
) -> Backoff:
    """:func:`decorrelated` for the first two tries, then slower with each; and slow where tries are slow.

    A shortage that lasts longer is not a burst. From the third try on the bound doubles with each, from
    ``cap_s`` up to ``slowest_s``, so the number of tries is logarithmic in the time waited.

    A refused try costs both sides CPU, and takes the longer the less of it is left. So no wait is shorter
    than 40 times what the try took, up to two seconds: whoever waits spends at most 2.5% of its time on
    trying, as long as a try takes at most 50 ms. Without this, hundreds of waiters keep a server busy
    refusing them; that makes everybody slower, so that more have to wait (docs/policy.md). ``rng`` is drawn
    from at least once for each wait.
    """

    early = decorrelated(rng, base_s, cap_s)
    slowest_s = max(cap_s, slowest_s)

    def wait_s(last_s: float, tries_count: int, try_s: float = 0.0) -> float:
        calm_s = min(slowest_s, TRIES_COUNT * try_s * SLOWER ** min(tries_count - 1, 64))
        if tries_count <= EARLY_COUNT:
            soon_s = early(last_s, tries_count)
            return max(soon_s, rng.uniform(calm_s / 2, calm_s)) if calm_s else soon_s
        bound_s = min(slowest_s, max(calm_s, cap_s * SLOWER ** min(tries_count - EARLY_COUNT, 64)))
        return rng.uniform(bound_s / 2, bound_s)

    return wait_s


BY_NAME = {"full": full, "decorrelated": decorrelated, "patient": patient}
