"""A run and a comparison as Markdown, for a pull request or a job's summary. Returns text."""

from collections.abc import Sequence

from loadtest.report.budgets.judgement import Judgement
from loadtest.report.comparisons.comparison import Comparison
from loadtest.report.headline import headline
from loadtest.report.render import comparison_table, fault_table
from loadtest.report.render.run_table import INVALID, columns, is_valid, lines, notes
from loadtest.report.wording import plain, shortened
from loadtest.results.summary import Summary

WARNING_LENGTH = 500
ROWS_COUNT = 300
WARNINGS_COUNT = 20  # GitHub drops a summary of more than 1 MiB as a whole


def run_markdown(summary: Summary, judgements: Sequence[Judgement] = ()) -> str:
    """The headline, the budgets, the table and the warnings."""
    text = [escaped(headline(summary)), ""]
    text += [f"- {escaped(judgement.line())}" for judgement in judgements] + [""] * bool(judgements)
    known = columns(summary)
    text += [
        f"| strategy | {' | '.join(column.head for column in known)} |",
        "|---|" + "---:|" * len(known),
    ]
    for name, line in list(lines(summary))[:ROWS_COUNT]:
        cells = [name + ("" if is_valid(line) else INVALID), *(c.cell(line).strip() for c in known)]
        text.append(f"| {' | '.join(map(escaped, cells))} |")
    text += ["", *map(escaped, notes(summary)), *_faults(summary)]
    warnings = summary.warnings
    if warnings:
        shown = [escaped(shortened(warning, WARNING_LENGTH)) for warning in warnings[:WARNINGS_COUNT]]
        text += ["", *(f"- warning: {warning}" for warning in shown)]
    if len(warnings) > WARNINGS_COUNT:
        text.append(f"- and {len(warnings) - WARNINGS_COUNT} more warnings, in summary.json")
    return "\n".join(text) + "\n"


def _faults(summary: Summary) -> list[str]:
    lines = list(fault_table.fault_lines(summary))[:ROWS_COUNT]
    if not lines:
        return []
    head = [f"| {' | '.join(fault_table.HEADS)} |", "|---" * len(fault_table.HEADS) + "|"]
    body = [f"| {' | '.join(map(escaped, line))} |" for line in lines]
    return ["", *head, *body, "", escaped(fault_table.NOTE)]


def comparison_markdown(comparison: Comparison) -> str:
    """The result in a sentence, one table of all arms, and the warnings."""
    footnotes = comparison_table.footnotes(comparison)
    text = [escaped(comparison_table.headline(comparison)), ""]
    heads = ("arm", *comparison_table.HEADS)
    text += [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * 4 + "---|---|"]
    for row in comparison_table.rows(comparison):
        cells = (row.arm, *comparison_table.marked(row, footnotes))
        text.append(f"| {' | '.join(map(escaped, cells))} |")
    text += ["", *(f"{i}. {escaped(note)}" for i, note in enumerate(footnotes, 1))]
    return "\n".join(text).rstrip() + "\n"


def escaped(words: str) -> str:
    """``words`` in Markdown that shows them as they are: no markup, no table, no mention, one line."""
    safe = plain(words).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_{}[]#|@~" and (c, safe) != ("~", "~") else c for c in safe)
