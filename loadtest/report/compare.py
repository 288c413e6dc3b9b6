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
from loadtest.report.measures import MEASURES, Measure, Values, values

BETTER, WORSE, NOISE, NONE = "better", "worse", "~", "none"


class Side(NamedTuple):
    """One run: what it is called, and its summary. ``warnings`` are of its reading."""

    name: str
    summary: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

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
    differing = [] if base.summary is candidate.summary else unlike(base.summary, candidate.summary)
    weighed = {_key(pair): _weigh_arm(base, candidate, pair, rules, differing) for pair in pairs}
    return Comparison(
        base.name,
        candidate.name,
        rules,
        tuple(dict.fromkeys([*base.warnings, *candidate.warnings, *(u.text for u in differing)])),
        _judged(weighed),
        {_key(pair): pair for pair in pairs},
    )


def _arms(side: Side) -> str:
    return f"{side.name} has {', '.join(side.summary['arms']) or 'none'}"


def _key(pair: tuple[str, str]) -> str:
    return pair[0] if pair[0] == pair[1] else ":".join(pair)


class _Weighed(NamedTuple):
    """A measure before its verdict, which depends on all others. ``seen`` None: there can be none."""

    compared: Compared
    seen: Difference | None


def _weigh_arm(
    base: Side, candidate: Side, pair: tuple[str, str], rules: Rules, differing: list[Unlike]
) -> dict[str, _Weighed]:
    sides = ((base, pair[0]), (candidate, pair[1]))
    references = [(side, rules.reference) for side in (base, candidate)] if rules.reference else []
    found = {}
    for measure in MEASURES:
        used = [*sides, *references] if measure.is_time else sides
        all_values = [values(side.repetitions(arm), measure, f"{side.name}, {arm}") for side, arm in used]
        touching = [u.text for u in differing if u.touches_measure(measure.name)]
        found[measure.name] = _weigh(measure, all_values, rules, touching)
    return found


SIGNS = (-1, 1, 1, -1)  # base and candidate, and the reference of each


def _weigh(measure: Measure, all_values: list[Values], rules: Rules, touching: list[str]) -> _Weighed:
    """``all_values``: of base and candidate, and then of the reference of each, if there is one."""
    warnings = tuple(dict.fromkeys([*touching, *(text for v in all_values for text in v.warnings)]))
    n = (len(all_values[0].values), len(all_values[1].values))
    nothing = Compared(measure, None, None, None, None, None, n, NONE, None, warnings)
    if not all(v.values and (not measure.is_time or min(v.values) > 0) for v in all_values):
        return _Weighed(nothing, None)
    scale, unscale = (log, exp) if measure.is_time else (float, float)
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
        return _Weighed(shown, None)
    samples = [Sample(side, sign) for side, sign in zip(scaled, SIGNS[: len(scaled)], strict=True)]
    threshold = log1p(rules.threshold) if measure.is_time else rules.threshold_ratio
    seen = difference(samples, threshold, 0.0 if measure.is_time else sum(map(_bound, all_values)))
    is_small = -threshold <= seen.low and seen.high <= threshold
    return _Weighed(
        shown._replace(
            interval=(unscale(seen.low), unscale(seen.high)),
            needed_repetitions=None if is_small else needed_repetitions(samples, threshold),
            is_small=is_small,
        ),
        seen,
    )


def _bound(side: Values) -> float:
    """Repetitions without a single error, or without a single answer, do not spread; that is no certainty."""
    return zero_bound(side.arrivals_count) if set(side.values) in ({0.0}, {1.0}) else 0.0


def _judged(weighed: dict[str, dict[str, _Weighed]]) -> dict[str, dict[str, Compared]]:
    gating = [
        (arm, name)
        for arm, found in weighed.items()
        for name, w in found.items()
        if w.compared.measure.gates and w.seen
    ]
    stands = holm([weighed[arm][name].seen.p for arm, name in gating])  # type: ignore[union-attr]
    passed = {key for key, stood in zip(gating, stands, strict=True) if stood}
    return {
        arm: {
            name: _verdict(w, (arm, name) in passed if w.compared.measure.gates else None)
            for name, w in found.items()
        }
        for arm, found in weighed.items()
    }


def _verdict(weighed: _Weighed, stands: bool | None) -> Compared:
    compared, seen = weighed
    if seen is None:
        return compared
    if not (seen.p <= 1 - LEVEL if stands is None else stands):
        return compared._replace(verdict=NOISE)
    better = seen.at * compared.measure.better > 0
    return compared._replace(verdict=BETTER if better else WORSE, needed_repetitions=None)
