"""How far apart two arms are, and how sure that is. Pure.

Repetitions are compared, never pooled requests: the requests of one repetition depend on each other, and a
test over them finds a difference in 88 of 100 pairs of equal runs (simulated). Times are compared by the
logarithm of each repetition's statistic, ratios of errors by their difference, both with Welch's interval:
B. L. Welch, "The generalization of 'Student's' problem when several different population variances are
involved", Biometrika 34 (1947). Its simulated coverage is 95 to 96% from three repetitions on; a rank test
can show nothing at three against three, and a bootstrap of three covers 79%.
"""

from collections.abc import Callable, Sequence
from math import inf, sqrt
from statistics import fmean, variance
from typing import NamedTuple

from loadtest.report.comparisons.t_distribution import quantile, two_sided_p

LEVEL = 0.95
MOST_REPETITIONS = 1000  # more would never be run


class Term(NamedTuple):
    """One term of a difference: a value for each repetition, and the sign (candidate 1, base -1).

    ``least_variance`` is the smallest variance of one value that is believed, however equal they are.
    """

    values: Sequence[float]
    sign: int
    least_variance: float = 0.0

    @property
    def variance(self) -> float:
        """Of the contribution of one value to the difference."""
        return self.sign**2 * max(variance(self.values), self.least_variance)


class Difference(NamedTuple):
    """``at`` ± ``half``. ``p``: the probability that a change of just the threshold looks this large."""

    at: float
    half: float
    p: float

    @property
    def low(self) -> float:
        return self.at - self.half

    @property
    def high(self) -> float:
        return self.at + self.half


def difference(terms: Sequence[Term], threshold: float, slack: float = 0.0) -> Difference:
    """The signed sum of the terms' means, with its 95% interval by Welch.

    Args:
        terms: each with two values or more.
        threshold: the smallest change that matters, on the scale of the values.
        slack: how much wider the interval is, on each side, than the spread of the repetitions says.
    """
    at = sum(term.sign * fmean(term.values) for term in terms)
    error, df = _error(terms)
    half = (quantile(LEVEL, df) * error if error else 0.0) + slack
    beyond = abs(at) - threshold - slack
    if beyond <= 0:
        return Difference(at, half, 1.0)
    return Difference(at, half, two_sided_p(beyond / error, df) if error else 0.0)


def _error(terms: Sequence[Term]) -> tuple[float, float]:
    """The standard error of the sum, and its degrees of freedom by Welch and Satterthwaite."""
    parts = [(term.variance / len(term.values), len(term.values) - 1) for term in terms]
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / df for part, df in parts)
    return (sqrt(total), total**2 / spread) if spread else (0.0, inf)


def needed_repetitions(terms: Sequence[Term], threshold: float, level: float = LEVEL) -> int | None:
    """How many repetitions a side would tell a difference of the size seen from one that does not matter.

    It assumes that they spread as these did. None where there are already that many, or no number would do.

    Args:
        terms: as in :func:`difference`.
        threshold: the smallest change that matters, on the scale of the values.
        level: the confidence that is asked for, from 0 to 1.
    """
    at = sum(term.sign * fmean(term.values) for term in terms)
    margin = abs(abs(at) - threshold)
    spread = sum(term.variance for term in terms)
    if not spread or not margin:
        return None
    sides = len(terms)
    needed = _first(2, lambda n: two_sided_p(margin / sqrt(spread / n), sides * (n - 1)) < 1 - level)
    return needed if needed and needed > min(len(term.values) for term in terms) else None


def _first(low: int, enough: Callable[[int], bool]) -> int | None:
    """The smallest number from ``low`` on that is enough, if every larger one is, too."""
    high = low
    while not enough(high):
        low, high = high + 1, high * 2
        if low > MOST_REPETITIONS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low if low <= MOST_REPETITIONS else None


def zero_bound(arrivals_count: float) -> float:
    """The largest error ratio that is compatible, at 97.5%, with no error in so many arrivals.

    The same bound holds for the share of answers when none was answered. 1 - 0.025^(1/n): C. J. Clopper
    and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934). 0 of 15,000: at most 0.025%.
    """
    return float(1 - 0.025 ** (1 / arrivals_count)) if arrivals_count else 1.0


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of several tests stand, so that the chance of any false alarm stays below 1 - ``level``.

    ``p_values`` has one for each test, from 0 to 1; the answers are in their order. S. Holm, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    stands = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > (1 - level) / (len(p_values) - rank):
            break
        stands[index] = True
    return stands
