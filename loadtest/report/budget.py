"""Budgets judged by a summary's figures, and their fields checked before anything runs. Pure."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple

from loadtest.errors import UsageError
from loadtest.report.frames import nothing
from loadtest.report.grammar import COMPARISONS, Budget, Node, Number, Path
from loadtest.report.summary import summarise_repetition
from loadtest.settings import Settings, nearest

PASSED, MISSED, UNDECIDED = "passed", "missed", "undecided"
INTEGRITY = ("acknowledged_count", "lost_count", "doubled_count")  # of the workload `ledger`


class Outcome(NamedTuple):
    """A budget with what was found; ``reason`` says why it is undecided."""

    budget: Budget
    state: str
    left: float | None
    right: float | None
    reason: str = ""


def check(budgets: Iterable[Budget], arms: Iterable[str], baseline_arms: Iterable[str] | None) -> None:
    """Raises :class:`UsageError` for an arm or a field that no summary will have, with the nearest name."""
    fields = known_fields()
    for budget in budgets:
        for path in budget.paths():
            if path.of_baseline and baseline_arms is None:
                raise UsageError(f"budget {budget.text!r}: {path} needs a --baseline RUN")
            there = list((baseline_arms or ()) if path.of_baseline else arms)
            if path.arm not in there:
                raise UsageError(
                    f"budget {budget.text!r}: no arm is called {path.arm!r}{nearest(path.arm, there)}; "
                    f"there are {', '.join(there)}"
                )
            name = ".".join(path.fields[2:] if path.fields[0] == "parts" else path.fields)
            if name not in fields and not (path.fields[0] == "errors" and len(path.fields) == 2):
                raise UsageError(
                    f"budget {budget.text!r}: no figure is called {name!r}{nearest(name, fields)}"
                )


def known_fields() -> list[str]:
    """The figures of an arm, as ``latency_ms.p99``."""
    figures = {**summarise_repetition(nothing(), Settings()), "integrity": dict.fromkeys(INTEGRITY)}
    words = ("valid", "reasons", "errors")
    return [
        f"{group}.{name}" if name else group
        for group, values in figures.items()
        if group not in words
        for name in (values if isinstance(values, dict) else [""])
        if name != "disturbed"
    ]


def judge(budget: Budget, summary: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> Outcome:
    """A budget over a figure that is unknown, not valid or disturbed is neither passed nor missed."""
    for path in budget.paths():
        reason = _why_not(path, baseline if path.of_baseline else summary)
        if reason:
            return Outcome(budget, UNDECIDED, None, None, reason)
    left, right = (_value(node, summary, baseline) for node in (budget.left, budget.right))
    if not (isfinite(left) and isfinite(right)):
        return Outcome(budget, UNDECIDED, None, None, "it divides by zero")
    met = COMPARISONS[budget.comparison](left, right)
    return Outcome(budget, PASSED if met else MISSED, left, right)


def _value(node: Node, summary: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> float:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Path):
        return float(figure(node, (baseline or {}) if node.of_baseline else summary) or 0.0)
    left, right = _value(node.left, summary, baseline), _value(node.right, summary, baseline)
    if node.sign == "/":
        return left / right if right else float("nan")
    return {"+": left + right, "-": left - right, "*": left * right}[node.sign]


def _why_not(path: Path, summary: Mapping[str, Any] | None) -> str:
    """Empty when its figure can be used."""
    if summary is None:
        return f"{path}: there is no baseline"
    arm = summary["arms"].get(path.arm)
    if arm is None:
        return f"{path}: {path.arm} was not run"
    if figure(path, summary) is None:
        why = "; ".join(arm["median"].get("reasons") or []) or "it is unknown"
        return f"{path} has no figure: {why}"
    group, name = (*path.fields, "")[:2]
    disturbed = [r for r in arm["repetitions"] if r["valid"] and name in _disturbed(r, group)]
    if 2 * len(disturbed) > sum(r["valid"] for r in arm["repetitions"]):
        return f"{path} was disturbed by the load generator in {len(disturbed)} repetitions"
    return ""


def _disturbed(repetition: Mapping[str, Any], group: str) -> list[str]:
    times = repetition.get(group)
    return list(times.get("disturbed", [])) if isinstance(times, dict) else []


def figure(path: Path, summary: Mapping[str, Any]) -> float | None:
    """In the arm's median; None when unknown."""
    value: Any = summary["arms"][path.arm]["median"]
    for place, name in enumerate(path.fields):
        if not isinstance(value, dict):
            return None
        if path.fields[place - 1 : place] == ("errors",):
            return float(sum(n for code, n in value.items() if code == name or code.split(" ")[0] == name))
        value = value.get(name)
    known = isinstance(value, int | float) and isfinite(value)
    return float(value) if known else None
