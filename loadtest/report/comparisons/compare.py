"""Two summaries in, a comparison with its warnings out. Pure.

A measure gets a verdict only if the interval of its change lies wholly beyond the smallest change that
matters. The gating measures of a comparison are corrected together (Holm), since among many equal measures
one soon looks changed; the others are for reading, and are not corrected.
"""

from collections.abc import Sequence

from loadtest.errors import UsageError
from loadtest.report.comparisons.capacities import compare_searches
from loadtest.report.comparisons.comparability import Mismatch, mismatches
from loadtest.report.comparisons.comparison import BETTER, NOISE, WORSE, Compared, Comparison, Rules, Side
from loadtest.report.comparisons.evidence import LEVEL, holm, needed_repetitions
from loadtest.report.comparisons.measures import MEASURES, values
from loadtest.report.comparisons.weighing import Weighed, weigh
from loadtest.results.summary import asked_arms


def compare(
    base: Side, candidate: Side, rules: Rules, pairs: Sequence[tuple[str, str]] | None = None
) -> Comparison:
    """Compares the arms of two runs, measure by measure.

    Args:
        base: what it is compared with.
        candidate: what is compared.
        rules: the smallest changes that matter, and the reference arm.
        pairs: arms of base and candidate; None: those that both have, but for the reference.

    Raises:
        UsageError: the runs have no arm in common, or one lacks the reference.
    """
    if isinstance(base.summary.capacity, dict) or isinstance(candidate.summary.capacity, dict):
        return compare_searches(base, candidate, rules, pairs)
    given = pairs is not None
    if pairs is None:
        pairs = [(arm, arm) for arm in base.summary.arms if arm in candidate.summary.arms]
        pairs = [pair for pair in pairs if pair[0] != rules.reference]
        if not pairs:
            raise UsageError(
                f"{base.name} and {candidate.name} have no arm in common: {_arms(base)}; {_arms(candidate)}; "
                "--arms A:B compares two of different names"
            )
    for side in (base, candidate):
        if rules.reference is not None and rules.reference not in side.summary.arms:
            raise UsageError(f"{side.name} has no {rules.reference} to normalise by: {_arms(side)}")
    of_base = [] if given else [arm for arm in base.summary.arms if arm not in candidate.summary.arms]
    of_candidate = [] if given else [arm for arm in candidate.summary.arms if arm not in base.summary.arms]
    one_sided = [
        f"{arm} is in {side.name} only"
        for side, arms in ((base, of_base), (candidate, of_candidate))
        for arm in arms
    ]
    differing = [] if base.summary is candidate.summary else mismatches(base.summary, candidate.summary)
    weighed = {_key(pair): _weigh_arm(base, candidate, pair, rules, differing) for pair in pairs}
    asked = asked_arms(candidate.summary.scenario)
    return Comparison(
        base.name,
        candidate.name,
        rules,
        tuple(dict.fromkeys([*base.warnings, *candidate.warnings, *one_sided, *(m.text for m in differing)])),
        _judged(weighed),
        {_key(pair): pair for pair in pairs},
        tuple(arm for arm in of_base if arm in asked),
    )


def _arms(side: Side) -> str:
    return f"{side.name} has {', '.join(side.summary.arms) or 'none'}"


def _key(pair: tuple[str, str]) -> str:
    return pair[0] if pair[0] == pair[1] else ":".join(pair)


def _weigh_arm(
    base: Side, candidate: Side, pair: tuple[str, str], rules: Rules, differing: list[Mismatch]
) -> dict[str, Weighed]:
    sides = ((base, pair[0]), (candidate, pair[1]))
    references = [(side, rules.reference) for side in (base, candidate)] if rules.reference else []
    found = {}
    for measure in MEASURES:
        used = [*sides, *references] if measure.is_time else list(sides)
        all_values = [values(side.repetitions(arm), measure, f"{side.name}, {arm}") for side, arm in used]
        sources = [(id(side.summary), arm) for side, arm in used]
        warnings = [m.text for m in differing if m.affects(measure.name)]
        found[measure.name] = weigh(measure, all_values, sources, rules, warnings)
    return found


def _judged(weighed: dict[str, dict[str, Weighed]]) -> dict[str, dict[str, Compared]]:
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


def _gates(weighed: Weighed) -> bool:
    return weighed.compared.measure.gates and bool(weighed.terms)


def _verdict(weighed: Weighed, stands: bool, level: float) -> Compared:
    compared, terms, threshold, seen = weighed
    if not terms:
        return compared
    if not stands:
        needed = None if compared.is_small else needed_repetitions(terms, threshold, level)
        return compared._replace(verdict=NOISE, needed_repetitions=needed)
    better = seen.at * compared.measure.better > 0
    return compared._replace(verdict=BETTER if better else WORSE)
