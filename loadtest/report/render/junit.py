"""JUnit XML, as CI servers read it: the budgets of a run, and suites of other cases."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from loadtest.report.budgets import judgement
from loadtest.report.budgets.judgement import Judgement
from loadtest.report.wording import plain
from loadtest.results.summary import Summary

PASSED, FAILED, SKIPPED = "passed", "failure", "skipped"
STATES = {judgement.PASSED: PASSED, judgement.MISSED: FAILED, judgement.UNDECIDED: SKIPPED}


TOLD = ("server", "range")  # what may limit a capacity that is known


class Case(NamedTuple):
    """``state`` is PASSED, FAILED or SKIPPED; ``message`` says why, unless it passed."""

    group: str
    name: str
    state: str
    message: str = ""


class Suite(NamedTuple):
    """Cases under one name."""

    name: str
    cases: Sequence[Case]


def run_junit(summary: Summary, judgements: Sequence[Judgement] = ()) -> str:
    """A case for each arm and each budget.

    An arm passes however many of its invocations fail, since that is a result. It is skipped where no
    repetition is valid, and so is a budget that is undecided.
    """
    scenario = summary.scenario
    name = str(scenario.get("scenario", "run")) if isinstance(scenario, dict) else "run"
    cases = [
        Case(name, arm, PASSED if a.median.valid else SKIPPED, "; ".join(a.median.reasons))
        for arm, a in summary.arms.items()
    ]
    searched = summary.capacity if isinstance(summary.capacity, dict) else {}
    cases += [
        Case(
            name,
            f"capacity of {arm}",
            PASSED if one.limited_by in ("server", "range") else SKIPPED,
            one.limited_by,
        )
        for arm, one in searched.items()
    ]
    cases += [Case(name, f"budget: {j.budget.text}", STATES[j.state], j.line()) for j in judgements]
    return junit([Suite(f"loadtest {name}", cases)])


def junit(suites: Sequence[Suite]) -> str:
    """The XML of all suites. Each needs a case: CI servers take an empty file for a run that failed."""
    root = ET.Element("testsuites", name="loadtest")
    for suite in suites:
        counts = {state: sum(case.state == state for case in suite.cases) for state in (FAILED, SKIPPED)}
        node = ET.SubElement(
            root,
            "testsuite",
            name=plain(suite.name),
            tests=str(len(suite.cases)),
            failures=str(counts[FAILED]),
            errors="0",
            skipped=str(counts[SKIPPED]),
        )
        for case in suite.cases:
            _add(node, case)
    ET.indent(root, " ")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(root, encoding='unicode')}\n"


def _add(suite: ET.Element, case: Case) -> None:
    node = ET.SubElement(suite, "testcase", classname=plain(case.group), name=plain(case.name))
    if case.state != PASSED:
        # Jenkins and GitHub's readers show the attribute, GitLab the text alone.
        message = plain(case.message)
        ET.SubElement(node, case.state, message=message).text = message
