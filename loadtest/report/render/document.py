"""A run as Markdown, for a pull request or a job's summary, and as JUnit. Returns text."""

from collections.abc import Mapping
from typing import Any

from loadtest.report.finding import sentence
from loadtest.report.render.comparison import escaped
from loadtest.report.render.junit import PASSED, SKIPPED, Case, Suite, junit
from loadtest.report.render.terminal import COLUMNS, lines, notes

WARNINGS_COUNT = 20  # GitHub drops a summary of more than 1 MiB as a whole


def markdown(summary: dict[str, Any]) -> str:
    """The finding, the table, the warnings."""
    heads = ["strategy", *(" ".join(filter(None, (c.title, c.unit))) for c in COLUMNS)]
    text = [escaped(sentence(summary)), "", f"| {' | '.join(heads)} |", "|---|" + "---:|" * len(COLUMNS)]
    for name, median in lines(summary):
        cells = [name + ("" if median["valid"] else "†"), *(c.cell(median).strip() for c in COLUMNS)]
        text.append(f"| {' | '.join(map(escaped, cells))} |")
    text += ["", *map(escaped, notes(summary))]
    warnings = summary["warnings"]
    if warnings:
        text += ["", *(f"- warning: {escaped(str(w))}" for w in warnings[:WARNINGS_COUNT])]
    if len(warnings) > WARNINGS_COUNT:
        text.append(f"- and {len(warnings) - WARNINGS_COUNT} more warnings, in summary.json")
    return "\n".join(text) + "\n"


def run_junit(summary: Mapping[str, Any]) -> str:
    """A case per arm. A strategy that fails is a finding; figures that carry no verdict are skipped."""
    scenario = summary.get("scenario")
    name = str(scenario.get("scenario", "run")) if isinstance(scenario, dict) else "run"
    cases = [
        Case(
            name,
            arm,
            PASSED if figures["median"]["valid"] else SKIPPED,
            "; ".join(figures["median"]["reasons"]),
        )
        for arm, figures in summary["arms"].items()
    ]
    return junit([Suite(f"loadtest {name}", cases)])
