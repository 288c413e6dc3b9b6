"""Budgets judged by the figures of a summary. Pure."""

from math import isfinite
from statistics import median
from typing import NamedTuple

from loadtest.report.budgets.grammar import COMPARISONS, Budget, Node, Number, Path
from loadtest.report.wording import number, plain
from loadtest.results.summary import ArmFigures, Summary, Times, found_at, number_at

PASSED, MISSED, UNDECIDED = "passed", "missed", "undecided"
TIMED = ("good_ratio", "throughput_per_s", "latency_ms", "duration_ms", "starts")


class Judgement(NamedTuple):
    """A budget, its state (one of the three above), and the values of its two sides.

    ``reason`` says why it is undecided.
    """

    budget: Budget
    state: str
    left: float | None
    right: float | None
    reason: str = ""

    def line(self) -> str:
        """``missed managed.error_ratio == 0: 0.031 against 0``, without control characters."""
        values = self.reason or f"{number(self.left)} against {number(self.right)}"
        return plain(f"{self.state} {self.budget.text}: {values}")


def judge(budget: Budget, summary: Summary, baseline: Summary | None) -> Judgement:
    """Judges a budget; it is undecided if one of its figures is unknown, invalid or disturbed.

    Args:
        budget: what is judged.
        summary: of the run.
        baseline: of the run that the budget compares it with, or None.
    """
    for path in budget.paths():
        reason = _unusable(path, baseline if path.of_baseline else summary)
        if reason:
            return Judgement(budget, UNDECIDED, None, None, reason)
    left, right = (_value(node, summary, baseline) for node in (budget.left, budget.right))
    if not (isfinite(left) and isfinite(right)):
        return Judgement(budget, UNDECIDED, None, None, "it divides by zero")
    met = COMPARISONS[budget.comparison](left, right)
    return Judgement(budget, PASSED if met else MISSED, left, right)


def _value(node: Node, summary: Summary, baseline: Summary | None) -> float:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Path):
        run = baseline if node.of_baseline else summary
        return (_figure(node, run) if run is not None else None) or 0.0
    left, right = _value(node.left, summary, baseline), _value(node.right, summary, baseline)
    if node.sign == "/":
        return left / right if right else float("nan")
    return {"+": left + right, "-": left - right, "*": left * right}[node.sign]


def _unusable(path: Path, summary: Summary | None) -> str:
    """Why its figure cannot be used; empty when it can."""
    if summary is None:
        return f"{path}: there is no baseline"
    arm = summary.arms.get(path.arm)
    if arm is None:
        return f"{path}: {path.arm} was not run"
    if not arm.median.arrivals_count:
        return f"{path}: nothing was counted in {path.arm}"
    if not arm.median.valid and _is_timed(path):
        reasons = "; ".join(arm.median.reasons) or "the reasons are unknown"
        return f"{path}: no repetition is valid for times: {reasons}"
    if _figure(path, summary) is None:
        disturbed = any(_is_disturbed(r, path) for r in arm.repetitions)
        return f"{path} {'was disturbed by the load generator' if disturbed else 'is unknown'}"
    return ""


def _is_timed(path: Path) -> bool:
    """Whether it depends on how well the load generator kept time."""
    names = path.fields[2:] if path.fields[0] == "parts" else path.fields
    return names[0] in TIMED or names == ("zombies", "reclaim_p50_s")


def _is_disturbed(repetition: ArmFigures, path: Path) -> bool:
    times = found_at(repetition, path.fields[:-1])
    return isinstance(times, Times) and path.fields[-1] in times.disturbed


def _figure(path: Path, summary: Summary) -> float | None:
    """The median of the arm; None when unknown.

    Where stalls of the load generator disturbed a statistic in some repetitions, it is the median of the
    others, if those are at least half of them.
    """
    arm = summary.arms[path.arm]
    valid = [r for r in arm.repetitions if r.valid]
    rest = [r for r in valid if not _is_disturbed(r, path)]
    if len(rest) < len(valid):
        known = [value for r in rest if (value := number_at(r, path.fields)) is not None]
        return median(known) if known and 2 * len(rest) >= len(valid) else None
    if path.fields[-2:-1] == ("errors",):
        errors = found_at(arm.median, path.fields[:-1])
        counts = errors if isinstance(errors, dict) else {}
        return float(sum(n for name, n in counts.items() if path.fields[-1] in (name, *name.split(" "))))
    return number_at(arm.median, path.fields)
