"""A run and a comparison as text for a terminal or a pipe. Returns text; only the command line prints."""

from collections.abc import Sequence
from textwrap import fill

from loadtest.report.comparisons.comparison import BETTER, NOISE, NONE, WORSE, Comparison
from loadtest.report.headline import headline
from loadtest.report.render import comparison_table, fault_table
from loadtest.report.render.comparison_table import HEADS, Row
from loadtest.report.render.grid import GAP, grid
from loadtest.report.render.run_table import DISTURBED, INVALID, Column, Line, columns, is_valid, lines, notes
from loadtest.report.wording import NOTHING, plain, shortened
from loadtest.results.summary import Summary

NARROWEST = 20  # a narrower terminal gets lines of this width, and may cut them
NAME_LENGTH = 24
FAULT_CELL_LENGTH = 40
Columns = Sequence[Column]
LEAST = 4  # columns beside the name; with fewer, lists say more
STYLES = {BETTER: "green", WORSE: "bold red", NOISE: "", NONE: "dim"}


def run_text(summary: Summary, width: int, color: bool) -> str:
    """The headline, the table and the warnings, ready to print; ends with a line break.

    Args:
        summary: of the run.
        width: of the terminal, in characters.
        color: whether to add escape sequences for colours.
    """
    warnings = [
        fill(f"warning: {plain(text)}", max(width, NARROWEST), subsequent_indent="  ")
        for text in summary.warnings
    ]
    blocks = [
        fill(plain(headline(summary)), max(width, NARROWEST)),
        table(summary, width, color),
        _faults(summary, max(width, NARROWEST), color),
        "\n".join(warnings),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def table(summary: Summary, width: int, color: bool) -> str:
    """One line per arm, at most ``width`` characters wide; ends without a line break.

    ``color`` adds the terminal's codes for it. Columns that do not fit are left out, the least important
    first, and named below the table. Where not even the first few fit, each arm becomes a list of lines.
    """
    width = max(width, NARROWEST)
    arms = list(lines(summary))
    known = columns(summary)
    rows = [[column.cell(line) for column in known] for _, line in arms]
    names = [_name(name, line) for name, line in arms]
    shown = _fitting(known, names, rows, width)
    if shown is None:
        shown = list(range(len(known)))
        body = _lists(known, names, rows, width)
    else:
        fitting = [[row[i] for i in shown] for row in rows]
        body = _run_grid([known[i] for i in shown], names, fitting, width, color)
    return "\n".join([body, *(fill(note, width) for note in notes(summary, shown))])


def _faults(summary: Summary, width: int, color: bool) -> str:
    lines = list(fault_table.fault_lines(summary))
    if not lines:
        return ""
    heads = [(head, head in ("failed", "connects/s", "lost", "doubled")) for head in fault_table.HEADS]
    cells = [[(shortened(plain(cell), FAULT_CELL_LENGTH), "") for cell in line] for line in lines]
    return f"{grid(heads, cells, width, color)}\n{fill(fault_table.NOTE, width)}"


def comparison_text(comparison: Comparison, width: int, color: bool) -> str:
    """The result in a sentence, a table for each arm, and its warnings; ends with a line break.

    Args:
        comparison: of two runs.
        width: of the terminal, in characters.
        color: whether to add escape sequences for colours.
    """
    width = max(width, NARROWEST)
    footnotes = comparison_table.footnotes(comparison)
    found = list(comparison_table.rows(comparison))
    blocks = [fill(plain(comparison_table.headline(comparison)), width)]
    heads = [(head, head not in ("measure", "verdict")) for head in HEADS]
    for arm in comparison.arms:
        cells = [_styled(row, footnotes) for row in found if row.arm == arm]
        blocks.append(f"{plain(arm)}\n{grid(heads, cells, width, color)}")
    blocks.append("\n".join(fill(f"[{i}] {plain(t)}", width) for i, t in enumerate(footnotes, 1)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _styled(row: Row, footnotes: Sequence[str]) -> list[tuple[str, str]]:
    styles = {"verdict": STYLES[row.compared.verdict]}
    cells = comparison_table.marked(row, footnotes)
    return [(cell, styles.get(head, "")) for head, cell in zip(HEADS, cells, strict=True)]


def _name(name: str, line: Line) -> str:
    return shortened(plain(name), NAME_LENGTH) + ("" if is_valid(line) else INVALID)


def _fitting(known: Columns, names: list[str], rows: list[list[str]], width: int) -> list[int] | None:
    """Which columns fit side by side into ``width``; None when too few do."""
    need = [
        max([len(c.title), len(c.unit), *(len(row[i]) for row in rows)]) + GAP for i, c in enumerate(known)
    ]
    left = width - max([len("strategy"), *map(len, names)])
    shown = []
    for i in sorted(range(len(known)), key=lambda i: -known[i].keep):
        if need[i] <= left:
            shown.append(i)
            left -= need[i]
    return sorted(shown) if len(shown) >= LEAST else None


def _run_grid(shown: Columns, names: list[str], rows: list[list[str]], width: int, color: bool) -> str:
    # Errors are aligned to the left: a code follows the share, and shares are read as a column.
    heads = [(f"{c.title}\n{c.unit}", c.title != "errors") for c in shown]
    cells = [
        [(name, "bold"), *((cell, _style(cell, c.title)) for c, cell in zip(shown, row, strict=True))]
        for name, row in zip(names, rows, strict=True)
    ]
    return grid([("strategy\n", False), *heads], cells, width, color)


def _style(cell: str, title: str) -> str:
    if cell.strip() == NOTHING or (cell.endswith(DISTURBED) and title != "errors"):
        return "dim"
    return "red" if title == "errors" and cell.strip() != "0%" else ""


def _lists(known: Columns, names: list[str], rows: list[list[str]], width: int) -> str:
    blocks = []
    for name, row in zip(names, rows, strict=True):
        items = [f"  {c.head}: {cell.strip()}" for c, cell in zip(known, row, strict=True)]
        blocks.append("\n".join(shortened(item, width) for item in (name, *items)))
    return "\n\n".join(blocks)
