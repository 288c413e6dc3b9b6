"""Student's t distribution, for intervals of a handful of repetitions. Pure.

Written here because scipy takes three seconds to import; the tests check it against scipy.
"""

from math import exp, inf, lgamma, log, log1p

TINY = 1e-300
ROUNDS = 10_000
CLOSE = 1e-15


def two_sided_p(t: float, df: float) -> float:
    """The probability of a value beyond ±``t`` with ``df`` degrees of freedom (not necessarily an integer).

    I_x(df/2, 1/2) with x = df / (df + t²): Abramowitz and Stegun, "Handbook of Mathematical Functions"
    (1964), 26.7.1.
    """
    return _incomplete_beta(df / 2, 0.5, df / (df + t * t)) if t else 1.0


def quantile(level: float, df: float) -> float:
    """The ``t`` for which ``level`` of the distribution lies within ±``t``, found by bisection.

    ``df`` are the degrees of freedom. For example 2.776 for a level of 0.95 and 4 degrees of freedom.
    Infinite where it exceeds a float.
    """
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > 1 - level:
        low, high = high, high * 2
        if high == inf:
            return inf
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if two_sided_p(middle, df) > 1 - level else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised, I_x(a, b), by its continued fraction: NIST, "Digital Library of Mathematical
    Functions", 8.17.22, evaluated by the modified Lentz algorithm (3.10(iii))."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1 / _away_from_0(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, ROUNDS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_0(1 + term * d)
            c = _away_from_0(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < CLOSE:
            break
    return front * value


def _away_from_0(value: float) -> float:
    return value if abs(value) > TINY else TINY
