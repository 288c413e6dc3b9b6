"""Budgets judged by the figures of a summary. Pure."""

from math import isfinite
from statistics import median
from typing import NamedTuple

from loadtest.report.budgets.grammar import COMPARISONS, Budget, Node, Number, Path
from loadtest.report.wording import number, plain
from loadtest.results.summary import ArmFigures, Capacity, Summary, Times, found_at, number_at

PASSED, MISSED, UNDECIDED = "passed", "missed", "undecided"
CAPACITY = "capacity_per_s"
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
    bounds = (_bound(path, baseline if path.of_baseline else summary) for path in budget.paths())
    left, right = (_value(node, summary, baseline) for node in (budget.left, budget.right))
    if not (isfinite(left) and isfinite(right)):
        return Judgement(budget, UNDECIDED, None, None, "it divides by zero")
    met = COMPARISONS[budget.comparison](left, right)
    bound = next(filter(None, bounds), "")
    if bound and not (met and _asks_for_more(budget)):
        return Judgement(budget, UNDECIDED, None, None, bound)
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
    if path.fields == (CAPACITY,):
        return _no_capacity(path, summary)
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


def _no_capacity(path: Path, summary: Summary) -> str:
    """Why there is no capacity in arrivals per second; empty where there is."""
    found = _capacity(path, summary)
    if found is None or not found.trials:
        return f"{path}: {path.arm} was not searched"
    return "" if found.vary == "rate" else f"{path}: the search varied {found.vary}, and not the rate"


def _bound(path: Path, summary: Summary | None) -> str:
    """Why a capacity may be larger than it says; empty where it may not, and for any other figure."""
    found = _capacity(path, summary)
    if found is None or found.limited_by == "server":
        return ""
    return f"{path} is at least {number(found.capacity_per_s)}: {found.limited_by} was the limit"


def _asks_for_more(budget: Budget) -> bool:
    """Whether it says of a capacity alone that it is at least something."""
    is_alone = isinstance(budget.left, Path) and budget.left.fields == (CAPACITY,)
    return is_alone and budget.comparison in (">", ">=") and not list(_paths_of(budget.right))


def _paths_of(node: Node) -> list[Path]:
    return list(Budget("", node, "==", Number(0.0)).paths())


def _capacity(path: Path, summary: Summary | None) -> Capacity | None:
    searched = summary.capacity if summary is not None else None
    return searched.get(path.arm) if path.fields == (CAPACITY,) and isinstance(searched, dict) else None


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
    searched = _capacity(path, summary)
    if searched is not None:  # none that holds is less than any
        return searched.capacity_per_s or 0.0
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
