"""Budgets judged by a summary's figures, and their fields checked before anything runs. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from statistics import median
from typing import Any, NamedTuple

from loadtest.errors import UsageError
from loadtest.report.grammar import COMPARISONS, Budget, Node, Number, Path
from loadtest.settings.nearest import nearest
from loadtest.settings.plan import Settings

TIMED = ("good_ratio", "throughput_per_s", "latency_ms", "duration_ms")
PASSED, MISSED, UNDECIDED = "passed", "missed", "undecided"
CODES = range(1000, 5000)
INTEGRITY = ("acknowledged_count", "lost_count", "doubled_count")  # of the workload `ledger`


class Outcome(NamedTuple):
    """A budget with what was found; ``reason`` says why it is undecided."""

    budget: Budget
    state: str
    left: float | None
    right: float | None
    reason: str = ""


def check(
    budgets: Iterable[Budget],
    arms: Iterable[str],
    baseline_arms: Iterable[str] | None,
    errors: Collection[str] | None = None,
) -> None:
    """Raises :class:`UsageError` for an arm, a field or an error that no summary will have.

    ``errors`` are the names that an error may have; None: any.
    """
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
            _check_fields(budget, path, fields)
        wrong = None if errors is None else unknown_error(budget, errors)
        if wrong:
            raise UsageError(f"budget {budget.text!r}: {wrong}")


def _check_fields(budget: Budget, path: Path, known: Collection[str]) -> None:
    names = path.fields
    if names[0] == "parts":
        parts = [word for word in re.split(r"[+:]", path.arm) if not re.fullmatch(r"[\d.]*", word)]
        if len(names) < 3 or names[1] not in parts:
            said = f"; {path.arm} has {', '.join(parts)}"
            raise UsageError(f"budget {budget.text!r}: {path} names no part of a mixed fleet{said}")
        names = names[2:]
    name = ".".join(names)
    if name not in known and not (names[0] == "errors" and len(names) == 2):
        raise UsageError(f"budget {budget.text!r}: no figure is called {name!r}{nearest(name, known)}")


def unknown_error(budget: Budget, known: Collection[str]) -> str:
    """What to say of the first error in it that nobody knows; empty when there is none.

    Such a budget would be met by every run: there is never an error of that name.
    """
    for path in budget.paths():
        name = path.fields[-1]
        if path.fields[-2:-1] == ("errors",) and name not in known and not _may_be_code(name):
            return (
                f"no error is called {name!r}{nearest(name, known)}; a budget names MySQL's codes by number "
                "or by name, timeout, throttled, unfinished, and Python's exceptions"
            )
    return ""


def _may_be_code(name: str) -> bool:
    """No list of MySQL's and MariaDB's codes is complete; these are the ranges that clients see.

    Source: MySQL 9.7 Reference Manual, "Error Message Sources and Elements".
    """
    return name.isascii() and name.isdigit() and int(name) in CODES


def known_fields() -> list[str]:
    """The figures of an arm, as ``latency_ms.p99``."""
    from loadtest.report.frames import nothing  # with pandas: a second that only budgets need before a run
    from loadtest.report.summary import summarise_repetition

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
    middle = arm["median"]
    reasons = "; ".join(map(str, middle.get("reasons") or []))
    if not middle.get("arrivals_count"):
        return f"{path}: nothing was counted in {path.arm}"
    if not middle.get("valid") and _is_timed(path):
        return f"{path}: no repetition is valid for times: {reasons or 'its reasons are not known'}"
    if figure(path, summary) is None:
        disturbed = any(_disturbed(r, path) for r in arm["repetitions"])
        return f"{path} {'was disturbed by the load generator' if disturbed else 'is unknown'}"
    return ""


def _is_timed(path: Path) -> bool:
    """Whether it depends on how well the generator kept time."""
    names = path.fields[2:] if path.fields[0] == "parts" else path.fields
    return names[0] in TIMED or names == ("zombies", "reclaim_p50_s")


def _disturbed(repetition: Mapping[str, Any], path: Path) -> bool:
    around = _at(repetition, path.fields[:-1])
    return isinstance(around, dict) and path.fields[-1] in (around.get("disturbed") or [])


def figure(path: Path, summary: Mapping[str, Any]) -> float | None:
    """In the arm's median; None when unknown.

    A figure that the generator's stalls disturbed in some repetitions is the median of the others, where
    those are half of them at least.
    """
    arm = summary["arms"][path.arm]
    valid = [r for r in arm["repetitions"] if r["valid"]]
    rest = [r for r in valid if not _disturbed(r, path)]
    if len(rest) < len(valid):
        known = [v for r in rest if (v := _number(_at(r, path.fields))) is not None]
        return median(known) if known and 2 * len(rest) >= len(valid) else None
    if path.fields[-2:-1] == ("errors",):
        errors = _at(arm["median"], path.fields[:-1])
        errors = errors if isinstance(errors, dict) else {}
        wanted = [n for code, n in errors.items() if path.fields[-1] in (code, *code.split(" "))]
        return float(sum(_number(n) or 0.0 for n in wanted))
    return _number(_at(arm["median"], path.fields))


def _at(value: Any, names: Iterable[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if known else None
