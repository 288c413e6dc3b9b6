"""One sentence that says what a run found, from its summary's figures. Pure.

It is read alone, so it claims no more than the figures show: shares are of all arrivals of the
repetitions that count, and latencies are compared only where nothing speaks against either of them.
"""

from collections import Counter
from typing import Any, NamedTuple

from loadtest.report.render.figures import code, count, percent, times

WITHOUT = ("cached", "direct")
WITH = ("managed", "classic")
REFERENCE = "ideal"
OTHERS_COUNT = 3  # of a user's own arms in one sentence
FAILED_RATIO = 0.01  # the mean of the few that got an answer says nothing about an arm that fails


class Outcome(NamedTuple):
    """What became of all arrivals of one arm."""

    arm: str
    arrivals_count: int
    failed_count: int
    errors: Counter[str]

    @property
    def failed_ratio(self) -> float:
        return self.failed_count / self.arrivals_count


def sentence(summary: dict[str, Any]) -> str:
    """The finding; says so where there is none."""
    arms = summary.get("arms", {})
    outcomes = {arm: found for arm, values in arms.items() if (found := _outcome(arm, values))}
    without = [outcomes[arm] for arm in WITHOUT if arm in outcomes]
    managed = [outcomes[arm] for arm in WITH if arm in outcomes]
    others = [o for arm, o in outcomes.items() if arm not in (*WITHOUT, *WITH, REFERENCE)]
    if not outcomes:
        return "No arrival counted, so there is nothing to say."
    clauses = _sides(without, managed, _comparison(arms, outcomes))
    clauses += [f"{o.arm}: {_share(o)} failed{_mostly(o)}" for o in others[:OTHERS_COUNT]]
    if len(others) > OTHERS_COUNT:
        clauses.append(f"{len(others) - OTHERS_COUNT} more arms are in the table")
    if not clauses:
        reference = outcomes[REFERENCE]
        clauses = [f"A perfect pool (ideal): {_share(reference)} failed{_mostly(reference)}"]
    return "; ".join(clauses) + "."


def _outcome(arm: str, values: dict[str, Any]) -> Outcome | None:
    """Over the valid repetitions, or all where none is valid: counts do not depend on the clock."""
    repetitions = [r for r in values.get("repetitions", []) if r.get("arrivals_count")]
    used = [r for r in repetitions if r["valid"]] or repetitions
    arrivals = sum(r["arrivals_count"] for r in used)
    if not arrivals:
        return None
    errors: Counter[str] = Counter()
    for repetition in used:
        errors.update(repetition["errors"])
    return Outcome(arm, arrivals, sum(errors.values()), errors)


def _sides(without: list[Outcome], managed: list[Outcome], comparison: str) -> list[str]:
    both = [*without, *managed]
    if without and managed and not any(o.failed_count for o in both):
        total = sum(o.arrivals_count for o in both)
        clauses = [f"None of {count(total)} invocations failed, with the manager or without it"]
        return [*clauses, f"managed answered {comparison}"] if comparison else clauses
    clauses = []
    if without:
        clauses.append(_side("Without the manager", without, None, ""))
    if managed:
        opening = "with it" if without else "With the manager"
        clauses.append(_side(opening, managed, without[0].arrivals_count if without else None, comparison))
    return clauses


def _side(opening: str, outcomes: list[Outcome], said_count: int | None, comparison: str) -> str:
    """One side's strategies, first the one that is meant; ``said_count`` arrivals need not be repeated."""
    first, *rest = outcomes
    failed = "did" if first.arrivals_count == said_count else "failed"
    name = f" as {first.arm}" if rest or first.arm not in ("cached", "managed") else ""
    text = f"{opening} {_share(first, said_count)} {failed}{name}{_mostly(first)}"
    if comparison:
        text += f", {comparison}"
    tails = [f", and {_share(o, first.arrivals_count)} as {o.arm}{_mostly(o)}" for o in rest]
    return text + "".join(tails)


def _share(outcome: Outcome, said_count: int | None = None) -> str:
    if not outcome.failed_count:
        share = "none"
    elif outcome.failed_count == outcome.arrivals_count:
        share = "all"
    else:
        share = percent(outcome.failed_ratio)
    if outcome.arrivals_count == said_count:
        return share
    return f"{share} of {count(outcome.arrivals_count)} invocations"


def _mostly(outcome: Outcome) -> str:
    if not outcome.failed_count:
        return ""
    # Ties by name: the sentence must not depend on the order of repetitions.
    name, errors_count = min(outcome.errors.items(), key=lambda item: (-item[1], item[0]))
    how = {True: "all ", False: "mostly "}[errors_count == outcome.failed_count]
    if 2 * errors_count <= outcome.failed_count:
        how = "most often "
    if outcome.failed_count == 1:
        how = ""
    return f", {how}{'' if name in ('throttled', 'unfinished') else 'with '}{code(name)}"


def _comparison(arms: dict[str, Any], outcomes: dict[str, Outcome]) -> str:
    """What managed costs beside ideal, or nothing where the figures do not carry it."""
    means = [_mean_ms(arms.get(arm), outcomes.get(arm)) for arm in ("managed", REFERENCE)]
    managed, reference = means
    if managed is None or not reference:
        return ""
    return f"at {times(managed / reference)} the latency of a perfect pool"


def _mean_ms(values: dict[str, Any] | None, outcome: Outcome | None) -> float | None:
    if values is None or outcome is None or outcome.failed_ratio > FAILED_RATIO:
        return None
    latency = values["median"]["latency_ms"]
    valid = values["median"].get("valid") and "mean" not in latency["disturbed"]
    mean: float | None = latency["mean"] if valid else None
    return mean
