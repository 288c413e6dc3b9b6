"""The budgets of a run: read before it, judged after it."""

import builtins
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pymysql

from loadtest.errors import UsageError
from loadtest.manager import errors as manager_errors
from loadtest.manager.errors import symbols
from loadtest.report.budget import MISSED, UNDECIDED, Outcome, check, judge, unknown_error
from loadtest.report.grammar import Budget, parse
from loadtest.results.rows import THROTTLED, TIMEOUT, UNFINISHED

ANNOTATIONS_COUNT = 9  # GitHub shows ten errors of a step


class Gate(NamedTuple):
    """``strict``: a name that the run does not know either is refused."""

    budgets: Sequence[Budget] = ()
    baseline: dict[str, Any] | None = None
    strict: bool = False

    def judge(self, summary: dict[str, Any]) -> list[Outcome]:
        """Raises :class:`UsageError` when strict."""
        known = error_names() | _errors_of(summary) | _errors_of(self.baseline or {})
        return [self._judge(budget, summary, known) for budget in self.budgets]

    def _judge(self, budget: Budget, summary: dict[str, Any], known: set[str]) -> Outcome:
        wrong = unknown_error(budget, known)
        if not wrong:
            return judge(budget, summary, self.baseline)
        if self.strict:
            raise UsageError(f"budget {budget.text!r}: {wrong}")
        return Outcome(budget, UNDECIDED, None, None, wrong)


def read_gate(given: Sequence[str], baseline: Path | None, arms: Sequence[str], *, ran: bool) -> Gate:
    """``given``: budgets, or TOML files with ``budgets = […]``. ``ran``: the run is there to be judged.

    Raises :class:`UsageError`. A run that is there may have met errors that nobody else knows by name,
    so those are looked at by :meth:`Gate.judge`.
    """
    texts = [text for word in given for text in (_of_file(Path(word)) if word.endswith(".toml") else [word])]
    budgets = [parse(text) for text in texts]
    known = _read(baseline) if baseline is not None else None
    if budgets:
        errors = None if ran else error_names() | _errors_of(known or {})
        check(budgets, arms, known["arms"] if known else None, errors)
    return Gate(budgets, known, strict=True)


def stored_gate(texts: Sequence[str], baseline: Path | None) -> Gate:
    """Of the budgets that a run was made with: what cannot be judged any more is undecided, not an error."""
    return Gate([parse(text) for text in texts], _read(baseline) if baseline is not None else None)


def _read(run: Path) -> dict[str, Any]:
    from loadtest.report.sides import read

    return dict(read(run).summary)


def error_names() -> set[str]:
    """What an error may be called: MySQL's codes by number and by name, our own words, exceptions."""
    names = {THROTTLED, TIMEOUT, UNFINISHED, "WrongAnswer"}
    for number, symbol in symbols().items():
        names |= {str(number), symbol, f"{number} {symbol}"}
    for module in (builtins, pymysql.err, manager_errors):
        names |= {name for name, kind in vars(module).items() if _is_exception(kind)}
    return names


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _errors_of(summary: Mapping[str, Any]) -> set[str]:
    """Those that its repetitions met, and the words that they consist of."""
    found = {
        name
        for arm in summary.get("arms", {}).values()
        for repetition in arm["repetitions"]
        for name in (repetition.get("errors") or {})
    }
    return found | {word for name in found for word in name.split(" ")}


def _of_file(path: Path) -> list[str]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"budgets {path} cannot be read: {error}") from None
    texts = values.get("budgets")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(
            f'budgets {path}: it has no list of texts, as in budgets = ["managed.error_ratio == 0"]'
        )
    return texts


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """A budget that is missed goes before one that nothing decides."""
    states = {outcome.state for outcome in outcomes}
    return 1 if MISSED in states else 4 if UNDECIDED in states else 0


def annotations(outcomes: Sequence[Outcome]) -> list[str]:
    """For GitHub's runners, one for each budget that did not pass; elsewhere none."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    from loadtest.report.render.budgets import line

    failed = [outcome for outcome in outcomes if outcome.state in (MISSED, UNDECIDED)]
    found = []
    for outcome in failed[:ANNOTATIONS_COUNT]:
        kind = "error" if outcome.state == MISSED else "warning"
        found.append(f"::{kind} title=loadtest budget {outcome.state}::{_escaped(line(outcome))}")
    if len(failed) > ANNOTATIONS_COUNT:
        found.append(f"::error title=loadtest::and {len(failed) - ANNOTATIONS_COUNT} more budgets")
    return found


def add_to_job_summary(report_md: Path) -> str:
    """On GitHub's runners; says what went wrong, since the run itself is done."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary or os.environ.get("GITHUB_ACTIONS") != "true":
        return ""
    try:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(report_md.read_text("utf-8"))
    except OSError as error:
        return f"warning: the job's summary {summary} cannot be written: {error.strerror or error}"
    return ""


def _escaped(text: str) -> str:
    """As a workflow command's data: "Workflow commands for GitHub Actions", its toolkit's command.ts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
