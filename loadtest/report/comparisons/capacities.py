"""Two searches for the capacity, compared by the intervals in which their edges lie. Pure."""

from collections.abc import Sequence

from loadtest.errors import UsageError
from loadtest.report.capacities.axis import FEWER_IS_HARDER
from loadtest.report.comparisons.comparability import mismatches
from loadtest.report.comparisons.comparison import (
    BETTER,
    NOISE,
    NONE,
    WORSE,
    Compared,
    Comparison,
    Rules,
    Side,
)
from loadtest.report.comparisons.measures import CAPACITY
from loadtest.results.summary import Capacity, asked_arms


def compare_searches(
    base: Side, candidate: Side, rules: Rules, pairs: Sequence[tuple[str, str]] | None = None
) -> Comparison:
    """Compares what the arms of two searches carry.

    Args:
        base: what it is compared with.
        candidate: what is compared.
        rules: the smallest change that matters.
        pairs: arms of base and candidate; None: those that both have.

    Raises:
        UsageError: one is no search, they did not vary the same, or have no arm in common.
    """
    found = [side.summary.capacity for side in (base, candidate)]
    before, after = (one if isinstance(one, dict) else None for one in found)
    if before is None or after is None:
        other = base if before is None else candidate
        raise UsageError(f"{other.name} is no search for the capacity, so it cannot be compared with one")
    if rules.reference is not None:
        raise UsageError("capacities are not normalised: leave out --normalise")
    given = pairs is not None
    pairs = pairs or [(arm, arm) for arm in before if arm in after]
    if not pairs:
        raise UsageError(f"{base.name} and {candidate.name} have no arm in common")
    varied = {one.vary for one in (*before.values(), *after.values())}
    if len(varied) > 1:
        raise UsageError(
            f"{base.name} and {candidate.name} did not vary the same: {', '.join(sorted(varied))}"
        )
    differing = [] if base.summary is candidate.summary else mismatches(base.summary, candidate.summary)
    of_base = [] if given else [arm for arm in before if arm not in after]
    one_sided = [f"{arm} is in {base.name} only" for arm in of_base]
    asked = asked_arms(candidate.summary.scenario)
    keys = {pair[0] if pair[0] == pair[1] else ":".join(pair): pair for pair in pairs}
    return Comparison(
        base.name,
        candidate.name,
        rules,
        tuple(dict.fromkeys([*base.warnings, *candidate.warnings, *one_sided, *(m.text for m in differing)])),
        {key: {CAPACITY.name: _compared(before[a], after[b], rules)} for key, (a, b) in keys.items()},
        keys,
        tuple(arm for arm in of_base if arm in asked),
    )


def _compared(base: Capacity, candidate: Capacity, rules: Rules) -> Compared:
    interval = _interval(base, candidate)
    told = [
        f"the objectives differ: {base.objective!r} and {candidate.objective!r}"
    ] if base.objective != candidate.objective else []  # fmt: skip
    told += [
        f"the {name}'s capacity is a bound, since {one.limited_by} was the limit"
        for name, one in (("base", base), ("candidate", candidate))
        if one.limited_by != "server"
    ]
    verdict, is_small = NONE, False
    if base.objective == candidate.objective:
        verdict = _verdict(base, candidate, rules)
    if interval is not None:
        is_small = 1 - rules.threshold <= interval[0] and interval[1] <= 1 + rules.threshold
    if verdict == NONE and not told:
        told.append("an edge is not enclosed on both sides")
    if interval is not None:
        told.append("the interval is what the trials enclose: no level of confidence is claimed")
    return Compared(
        measure=CAPACITY,
        base=base.value,
        candidate=candidate.value,
        ratio=candidate.value / base.value if base.value and candidate.value else None,
        difference=None,
        interval=interval,
        n=(len(base.trials), len(candidate.trials)),
        verdict=verdict,
        needed_repetitions=None,
        warnings=tuple(told),
        is_small=is_small,
    )


def _verdict(base: Capacity, candidate: Capacity, rules: Rules) -> str:
    """By the ends that are known: one edge beyond the other for certain needs only the two between them."""
    more, less = (WORSE, BETTER) if base.vary in FEWER_IS_HARDER else (BETTER, WORSE)
    (before_low, before_high), (after_low, after_high) = base.interval, candidate.interval
    if after_low and before_high and after_low / before_high > 1 + rules.threshold:
        return more
    if after_high and before_low and after_high / before_low < 1 - rules.threshold:
        return less
    return NOISE if _interval(base, candidate) is not None else NONE


def _interval(base: Capacity, candidate: Capacity) -> tuple[float, float] | None:
    """Of the ratio: what is between the farthest ends; None where an edge is not enclosed."""
    (before_low, before_high), (after_low, after_high) = base.interval, candidate.interval
    if not (before_low and before_high and after_low and after_high):
        return None
    return after_low / before_high, after_high / before_low
