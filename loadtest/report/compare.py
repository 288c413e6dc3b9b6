"""Two summaries in, a comparison with its warnings out. Pure.

A measure gets a verdict only if the interval of its change lies wholly beyond the smallest change that
matters. The gating measures of one comparison are corrected together (Holm), since one of many equal
measures soon looks changed; the others are for reading and are not.
"""

from collections.abc import Mapping, Sequence
from math import exp, log, log1p
from statistics import fmean
from typing import Any, NamedTuple

from loadtest.errors import UsageError
from loadtest.report.evidence import (
    LEVEL,
    Difference,
    Sample,
    difference,
    holm,
    needed_repetitions,
    zero_bound,
)
from loadtest.report.likeness import Unlike, unlike
from loadtest.report.measures import MEASURES, SHORTEST_MS, Measure, Values, values

BETTER, WORSE, NOISE, NONE = "better", "worse", "~", "none"


class Side(NamedTuple):
    """One run: what it is called, its summary, and, if asked for, the series of its plots by arm.

    ``warnings`` are of its reading.
    """

    name: str
    summary: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    series: Mapping[str, Any] = {}

    def repetitions(self, arm: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self.summary["arms"][arm]["repetitions"]
        return found


class Rules(NamedTuple):
    """The smallest changes that matter: of times as a share of themselves, of ratios in absolute terms.

    ``reference``: an arm of each run by which its times are divided first, or None.
    """

    threshold: float = 0.05
    threshold_ratio: float = 0.005
    reference: str | None = None


class Compared(NamedTuple):
    """One measure. ``interval`` is of ``ratio`` for times, of ``difference`` for ratios of errors.

    Times are geometric means over the repetitions, in ms (or multiples of the reference), ratios
    arithmetic ones, so that ``ratio`` and ``difference`` are theirs.
    """

    measure: Measure
    base: float | None
    candidate: float | None
    ratio: float | None
    difference: float | None
    interval: tuple[float, float] | None
    n: tuple[int, int]
    verdict: str
    needed_repetitions: int | None
    warnings: tuple[str, ...]
    is_small: bool = False  # the whole interval lies within what does not matter


class Comparison(NamedTuple):
    base: str
    candidate: str
    rules: Rules
    warnings: tuple[str, ...]
    arms: Mapping[str, Mapping[str, Compared]]  # by arm and by measure; across: "cached:managed"
    pairs: Mapping[str, tuple[str, str]]  # the arms of base and candidate, by the same keys
    lost: tuple[str, ...] = ()  # arms that the base has, and the candidate was asked for and has not

    @property
    def verdict(self) -> str:
        """Of the gating measures together: one that is worse makes the whole worse."""
        found = {c.verdict for arm in self.arms.values() for c in arm.values() if c.measure.gates}
        return next((v for v in (WORSE, BETTER, NOISE) if v in found), NONE)

    def all_warnings(self) -> tuple[str, ...]:
        """Each once."""
        of_measures = (text for arm in self.arms.values() for c in arm.values() for text in c.warnings)
        return tuple(dict.fromkeys((*self.warnings, *of_measures)))


def compare(
    base: Side, candidate: Side, rules: Rules, pairs: Sequence[tuple[str, str]] | None = None
) -> Comparison:
    """``pairs`` of arms; None: those that both have. Raises :class:`UsageError` where nothing matches."""
    given = pairs is not None
    if pairs is None:
        pairs = [(arm, arm) for arm in base.summary["arms"] if arm in candidate.summary["arms"]]
        pairs = [pair for pair in pairs if pair[0] != rules.reference]
        if not pairs:
            raise UsageError(
                f"{base.name} and {candidate.name} have no arm in common: {_arms(base)}; {_arms(candidate)}; "
                "--arms A:B compares two of different names"
            )
    for side in (base, candidate):
        if rules.reference is not None and rules.reference not in side.summary["arms"]:
            raise UsageError(f"{side.name} has no {rules.reference} to normalise by: {_arms(side)}")
    apart = [] if given else [arm for arm in base.summary["arms"] if arm not in candidate.summary["arms"]]
    alone = [] if given else [arm for arm in candidate.summary["arms"] if arm not in base.summary["arms"]]
    one_sided = [
        f"{arm} is in {side.name} only" for side, arms in ((base, apart), (candidate, alone)) for arm in arms
    ]
    differing = [] if base.summary is candidate.summary else unlike(base.summary, candidate.summary)
    weighed = {_key(pair): _weigh_arm(base, candidate, pair, rules, differing) for pair in pairs}
    return Comparison(
        base.name,
        candidate.name,
        rules,
        tuple(dict.fromkeys([*base.warnings, *candidate.warnings, *one_sided, *(u.text for u in differing)])),
        _judged(weighed),
        {_key(pair): pair for pair in pairs},
        tuple(arm for arm in apart if arm in _asked_for(candidate)),
    )


def _asked_for(side: Side) -> list[str]:
    """The arms that a run was to have."""
    settings = side.summary.get("scenario")
    strategies = settings.get("strategies") if isinstance(settings, dict) else None
    return [str(text).split("=")[0] for text in strategies] if isinstance(strategies, list) else []


def _arms(side: Side) -> str:
    return f"{side.name} has {', '.join(side.summary['arms']) or 'none'}"


def _key(pair: tuple[str, str]) -> str:
    return pair[0] if pair[0] == pair[1] else ":".join(pair)


class _Weighed(NamedTuple):
    """A measure before its verdict, which depends on all others. Without samples there can be none."""

    compared: Compared
    samples: list[Sample]
    threshold: float
    seen: Difference


NOT_SEEN = Difference(0.0, 0.0, 1.0)


def _weigh_arm(
    base: Side, candidate: Side, pair: tuple[str, str], rules: Rules, differing: list[Unlike]
) -> dict[str, _Weighed]:
    sides = ((base, pair[0]), (candidate, pair[1]))
    references = [(side, rules.reference) for side in (base, candidate)] if rules.reference else []
    found = {}
    for measure in MEASURES:
        used = [*sides, *references] if measure.is_time else list(sides)
        all_values = [values(side.repetitions(arm), measure, f"{side.name}, {arm}") for side, arm in used]
        touching = [u.text for u in differing if u.touches_measure(measure.name)]
        keys = [(id(side.summary), arm) for side, arm in used]
        found[measure.name] = _weigh(measure, all_values, keys, rules, touching)
    return found


SIGNS = (-1, 1, 1, -1)  # base and candidate, and the reference of each


def _weigh(
    measure: Measure, all_values: list[Values], keys: list[tuple[int, str]], rules: Rules, touching: list[str]
) -> _Weighed:
    """``all_values``: of base and candidate, and then of the reference of each, if there is one.

    ``keys`` tell which of them are the same repetitions.
    """
    warnings = tuple(dict.fromkeys([*touching, *(text for v in all_values for text in v.warnings)]))
    n = (len(all_values[0].values), len(all_values[1].values))
    nothing = Compared(measure, None, None, None, None, None, n, NONE, None, warnings)
    if not all(v.values and (not measure.is_time or min(v.values) >= SHORTEST_MS) for v in all_values):
        return _Weighed(nothing, [], 0.0, NOT_SEEN)
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
        return _Weighed(shown, [], 0.0, NOT_SEEN)
    least = [0.0 if measure.is_time else _binomial_variance(v) for v in all_values]
    samples = _merged(keys, scaled, least)
    threshold = log1p(rules.threshold) if measure.is_time else rules.threshold_ratio
    slack = 0.0 if measure.is_time else sum(map(_bound, all_values))
    seen = difference(samples, threshold, slack)
    return _Weighed(
        shown._replace(
            interval=(unscale(seen.low), unscale(seen.high)),
            is_small=-threshold <= seen.low and seen.high <= threshold,
        ),
        samples,
        threshold,
        seen,
    )


def _merged(keys: list[tuple[int, str]], scaled: list[list[float]], least: list[float]) -> list[Sample]:
    """The same repetitions on both sides cancel, in the difference and in its error."""
    merged: dict[tuple[int, str], Sample] = {}
    for key, side, variance, sign in zip(keys, scaled, least, SIGNS, strict=False):
        before = merged[key].sign if key in merged else 0
        merged[key] = Sample(side, before + sign, variance)
    return [sample for sample in merged.values() if sample.sign] or [Sample([0.0, 0.0], 1)]


def _exp(value: float) -> float:
    """Within what a float can hold."""
    return exp(max(-MOST, min(MOST, value)))


MOST = 700.0


def _binomial_variance(side: Values) -> float:
    """Of one repetition's ratio, if each arrival failed by itself; where they do not, it is larger."""
    p = fmean(side.values)
    return p * (1 - p) * len(side.values) / side.arrivals_count if side.arrivals_count else 1.0


def _bound(side: Values) -> float:
    """Repetitions without a single error, or without a single answer, do not spread; that is no certainty."""
    return zero_bound(side.arrivals_count) if set(side.values) in ({0.0}, {1.0}) else 0.0


def _judged(weighed: dict[str, dict[str, _Weighed]]) -> dict[str, dict[str, Compared]]:
    keys = [(arm, name) for arm, found in weighed.items() for name, w in found.items() if _gates(w)]
    stands = holm([weighed[arm][name].seen.p for arm, name in keys])
    passed = {key for key, stood in zip(keys, stands, strict=True) if stood}
    corrected = 1 - (1 - LEVEL) / max(1, len(keys))
    return {
        arm: {
            name: _verdict(w, (arm, name) in passed, corrected)
            if _gates(w)
            else _verdict(w, w.seen.p <= 1 - LEVEL, LEVEL)
            for name, w in found.items()
        }
        for arm, found in weighed.items()
    }


def _gates(weighed: _Weighed) -> bool:
    return weighed.compared.measure.gates and bool(weighed.samples)


def _verdict(weighed: _Weighed, stands: bool, level: float) -> Compared:
    compared, samples, threshold, seen = weighed
    if not samples:
        return compared
    if not stands:
        needed = None if compared.is_small else needed_repetitions(samples, threshold, level)
        return compared._replace(verdict=NOISE, needed_repetitions=needed)
    better = seen.at * compared.measure.better > 0
    return compared._replace(verdict=BETTER if better else WORSE)
