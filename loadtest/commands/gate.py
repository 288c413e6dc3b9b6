"""The budgets of a run: read before it, judged after it."""

import builtins
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pymysql

from loadtest.errors import UsageError
from loadtest.manager import errors as manager_errors
from loadtest.manager.errors import symbols
from loadtest.report.budgets.grammar import Budget, parse
from loadtest.report.budgets.judgement import MISSED, UNDECIDED, Judgement, judge
from loadtest.report.budgets.names import check, unknown_error
from loadtest.results.rows import LAMBDAS, THROTTLED, TIMEOUT, UNFINISHED
from loadtest.results.summary import Summary

ANNOTATIONS_COUNT = 9  # GitHub shows ten annotations of a step; the last one counts the rest


class Gate(NamedTuple):
    """The budgets of a run, and the run that they compare it with, if any.

    ``strict``: an unknown name of an error is a wrong usage; otherwise its budget is undecided.
    """

    budgets: Sequence[Budget] = ()
    baseline: Summary | None = None
    strict: bool = False

    def judge(self, summary: Summary) -> list[Judgement]:
        """Judges all budgets by the figures of the run.

        Raises:
            UsageError: strict, and a budget names an error that neither MySQL, Python nor the run knows.
        """
        known = error_names() | _errors_of(summary) | _errors_of(self.baseline)
        return [self._judge(budget, summary, known) for budget in self.budgets]

    def _judge(self, budget: Budget, summary: Summary, known: set[str]) -> Judgement:
        wrong = unknown_error(budget, known)
        if not wrong:
            return judge(budget, summary, self.baseline)
        if self.strict:
            raise UsageError(f"budget {budget.text!r}: {wrong}")
        return Judgement(budget, UNDECIDED, None, None, wrong)


def read_gate(
    given: Sequence[str],
    baseline: Path | None,
    arms: Sequence[str],
    *,
    ran: bool,
    more: Sequence[str] = (),
) -> Gate:
    """Reads and checks budgets.

    Args:
        given: budgets, or TOML files with ``budgets = […]``.
        baseline: the run that they may compare with, or None.
        arms: of the run.
        more: figures that not every run has.
        ran: whether the run is over. Then names of errors are left to :meth:`Gate.judge`, since the run may
            have met errors of its own.

    Raises:
        UsageError: a budget makes no sense, or names what is not there; a file cannot be read.
    """
    texts = [text for word in given for text in (_of_file(Path(word)) if word.endswith(".toml") else [word])]
    budgets = [parse(text) for text in texts]
    known = _read(baseline) if baseline is not None else None
    if budgets:
        errors = None if ran else error_names() | _errors_of(known)
        check(budgets, arms, _arms_of(known) if known else None, errors, more)
    return Gate(budgets, known, strict=True)


def _arms_of(summary: Summary) -> list[str]:
    searched = summary.capacity if isinstance(summary.capacity, dict) else {}
    return list({**summary.arms, **searched})


def stored_gate(texts: Sequence[str], baseline: Path | None) -> Gate:
    """The budgets that a run was made with. What can no longer be judged is undecided, not an error.

    ``texts`` are in the grammar of budgets; ``baseline`` is the run that they may compare with. Raises
    :class:`UsageError` for a budget that makes no sense and for a baseline that cannot be read.
    """
    return Gate([parse(text) for text in texts], _read(baseline) if baseline is not None else None)


def _read(run: Path) -> Summary:
    from loadtest.report.stored_runs import read

    return read(run).summary


def error_names() -> set[str]:
    """The known names of errors: MySQL's codes by number and by name, our own, and exceptions."""
    names = {THROTTLED, TIMEOUT, UNFINISHED, "WrongAnswer", *LAMBDAS}
    for number, symbol in symbols().items():
        names |= {str(number), symbol, f"{number} {symbol}"}
    for module in (builtins, pymysql.err, manager_errors):
        names |= {name for name, kind in vars(module).items() if _is_exception(kind)}
    return names


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _errors_of(summary: Summary | None) -> set[str]:
    """The errors of all repetitions, and each word of their names."""
    arms = summary.arms.values() if summary is not None else ()
    found = {name for arm in arms for repetition in arm.repetitions for name in repetition.errors}
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


def exit_code(judgements: Sequence[Judgement]) -> int:
    """1 if a budget is missed, else 4 if one is undecided, else 0."""
    states = {judgement.state for judgement in judgements}
    return 1 if MISSED in states else 4 if UNDECIDED in states else 0


def annotations(judgements: Sequence[Judgement]) -> list[str]:
    """GitHub's workflow commands, one for each budget that did not pass; elsewhere none."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    failed = [judgement for judgement in judgements if judgement.state in (MISSED, UNDECIDED)]
    found = []
    for judgement in failed[:ANNOTATIONS_COUNT]:
        kind = "error" if judgement.state == MISSED else "warning"
        found.append(f"::{kind} title=loadtest budget {judgement.state}::{_escaped(judgement.line())}")
    if len(failed) > ANNOTATIONS_COUNT:
        found.append(f"::error title=loadtest::and {len(failed) - ANNOTATIONS_COUNT} more budgets")
    return found


def add_to_job_summary(report_md: Path) -> str:
    """Appends the report to the job summary on GitHub's runners. Returns a warning if that fails, or ""."""
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
    """Text as the data of a workflow command: escapeData() in command.ts of GitHub's actions/toolkit."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
