"""JUnit XML, as CI servers read it."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from loadtest.report.render.figures import plain

PASSED, FAILED, SKIPPED = "passed", "failure", "skipped"


class Case(NamedTuple):
    """``state`` is one of the three above; ``message`` says why, unless it passed."""

    group: str
    name: str
    state: str
    message: str = ""
    seconds: float | None = None


class Suite(NamedTuple):
    name: str
    cases: Sequence[Case]


def junit(suites: Sequence[Suite]) -> str:
    """Never empty: a file without a case is taken for a run that never was."""
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
    if case.seconds is not None:
        node.set("time", f"{case.seconds:.3f}")
    if case.state != PASSED:
        # Jenkins and GitHub's readers show the attribute, GitLab the text alone.
        message = plain(case.message)
        ET.SubElement(node, case.state, message=message).text = message
