"""Budgets as lines, for terminals, Markdown and JUnit. Returns text."""

from collections.abc import Sequence

from loadtest.report.budget import MISSED, PASSED, UNDECIDED, Outcome
from loadtest.report.render.figures import number, plain
from loadtest.report.render.junit import FAILED, SKIPPED, Case
from loadtest.report.render.junit import PASSED as CASE_PASSED

STATES = {PASSED: CASE_PASSED, MISSED: FAILED, UNDECIDED: SKIPPED}


def line(outcome: Outcome) -> str:
    """``missed  managed.error_ratio == 0: 0.031 against 0``."""
    found = outcome.reason or f"{number(outcome.left)} against {number(outcome.right)}"
    return plain(f"{outcome.state}  {outcome.budget.text}: {found}")


def cases(group: str, outcomes: Sequence[Outcome]) -> list[Case]:
    return [Case(group, f"budget: {o.budget.text}", STATES[o.state], line(o)) for o in outcomes]
