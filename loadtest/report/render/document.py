"""A run as Markdown, for a pull request or a job's summary, and as JUnit. Returns text."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.report.budget import Outcome
from loadtest.report.finding import sentence
from loadtest.report.render.budgets import cases as budget_cases
from loadtest.report.render.budgets import line
from loadtest.report.render.comparison import escaped
from loadtest.report.render.figures import shortened
from loadtest.report.render.junit import PASSED, SKIPPED, Case, Suite, junit
from loadtest.report.render.terminal import COLUMNS, lines, notes

WARNING_LENGTH = 500
ROWS = 300
WARNINGS_COUNT = 20  # GitHub drops a summary of more than 1 MiB as a whole


def markdown(summary: dict[str, Any], outcomes: Sequence[Outcome] = ()) -> str:
    """The finding, the budgets, the table, the warnings."""
    heads = ["strategy", *(" ".join(filter(None, (c.title, c.unit))) for c in COLUMNS)]
    text = [escaped(sentence(summary)), ""]
    text += [f"- {escaped(line(outcome))}" for outcome in outcomes] + [""] * bool(outcomes)
    text += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * len(COLUMNS)]
    for name, median in list(lines(summary))[:ROWS]:
        cells = [name + ("" if median["valid"] else "†"), *(c.cell(median).strip() for c in COLUMNS)]
        text.append(f"| {' | '.join(map(escaped, cells))} |")
    text += ["", *map(escaped, notes(summary))]
    warnings = summary["warnings"]
    if warnings:
        text += [
            "",
            *(f"- warning: {escaped(shortened(str(w), WARNING_LENGTH))}" for w in warnings[:WARNINGS_COUNT]),
        ]
    if len(warnings) > WARNINGS_COUNT:
        text.append(f"- and {len(warnings) - WARNINGS_COUNT} more warnings, in summary.json")
    return "\n".join(text) + "\n"


def run_junit(summary: Mapping[str, Any], outcomes: Sequence[Outcome] = ()) -> str:
    """A case per arm and budget. A strategy that fails is a finding; what decides nothing is skipped."""
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
    return junit([Suite(f"loadtest {name}", [*cases, *budget_cases(name, outcomes)])])
