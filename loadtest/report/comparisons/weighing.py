"""One measure of two arms: their means, the interval of the change, and how sure it is. Pure."""

from collections.abc import Sequence
from math import exp, log, log1p
from statistics import fmean
from typing import NamedTuple

from loadtest.report.comparisons.comparison import NONE, Compared, Rules
from loadtest.report.comparisons.evidence import Difference, Term, difference, zero_bound
from loadtest.report.comparisons.measures import SHORTEST_MS, Measure, Values

NOT_SEEN = Difference(0.0, 0.0, 1.0)
SIGNS = (-1, 1, 1, -1)  # of base and candidate, and of the reference of each
LARGEST_EXPONENT = 700.0  # exp() of more overflows

Source = tuple[int, str]  # a run and an arm: the same ones are the same repetitions


class Weighed(NamedTuple):
    """A measure before its verdict, which depends on all others. Without terms there is none.

    ``threshold`` is the smallest change that matters, on the scale of the terms.
    """

    compared: Compared
    terms: list[Term]
    threshold: float
    seen: Difference


def weigh(
    measure: Measure,
    all_values: Sequence[Values],
    sources: Sequence[Source],
    rules: Rules,
    warnings: Sequence[str],
) -> Weighed:
    """Weighs a measure: times by their logarithms, ratios as they are.

    Args:
        measure: what is compared.
        all_values: of base and candidate, then of the reference of each, if there is one.
        sources: where each of ``all_values`` comes from.
        rules: the smallest changes that matter.
        warnings: what else qualifies this measure.
    """
    said = tuple(dict.fromkeys([*warnings, *(text for v in all_values for text in v.warnings)]))
    n = (len(all_values[0].values), len(all_values[1].values))
    nothing = Compared(measure, None, None, None, None, None, n, NONE, None, said)
    if not all(v.values and (not measure.is_time or min(v.values) >= SHORTEST_MS) for v in all_values):
        return Weighed(nothing, [], 0.0, NOT_SEEN)
    scale, unscale = (log, _exp) if measure.is_time else (float, float)
    scaled = [[scale(value) for value in v.values] for v in all_values]
    means = [fmean(side) for side in scaled]
    by = means[2:] if means[2:] else [0.0, 0.0]
    base, candidate = unscale(means[0] - by[0]), unscale(means[1] - by[1])
    shown = nothing._replace(
        base=base,
        candidate=candidate,
        ratio=candidate / base if base else None,
        difference=None if measure.is_time else candidate - base,
    )
    if not all(v.trusted for v in all_values):
        return Weighed(shown, [], 0.0, NOT_SEEN)
    least = [0.0 if measure.is_time else _binomial_variance(v) for v in all_values]
    terms = _merged(sources, scaled, least)
    threshold = log1p(rules.threshold) if measure.is_time else rules.threshold_ratio
    slack = 0.0 if measure.is_time else sum(map(_bound, all_values))
    seen = difference(terms, threshold, slack)
    return Weighed(
        shown._replace(
            interval=(unscale(seen.low), unscale(seen.high)),
            is_small=-threshold <= seen.low and seen.high <= threshold,
        ),
        terms,
        threshold,
        seen,
    )


def _merged(sources: Sequence[Source], scaled: list[list[float]], least: list[float]) -> list[Term]:
    """The same repetitions on both sides cancel out, in the difference and in its error."""
    merged: dict[Source, Term] = {}
    for source, side, variance, sign in zip(sources, scaled, least, SIGNS, strict=False):
        before = merged[source].sign if source in merged else 0
        merged[source] = Term(side, before + sign, variance)
    return [term for term in merged.values() if term.sign] or [Term([0.0, 0.0], 1)]


def _exp(value: float) -> float:
    return exp(max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, value)))


def _binomial_variance(side: Values) -> float:
    """Of one repetition's ratio, p (1 - p) / arrivals, as if each arrival failed independently.

    Where they do not, the variance is larger.
    """
    p = fmean(side.values)
    return p * (1 - p) * len(side.values) / side.arrivals_count if side.arrivals_count else 1.0


def _bound(side: Values) -> float:
    """Repetitions without a single error, or a single answer, do not spread, but are no certainty."""
    return zero_bound(side.arrivals_count) if set(side.values) in ({0.0}, {1.0}) else 0.0
