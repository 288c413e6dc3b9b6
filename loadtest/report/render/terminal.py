"""The table of a run for a terminal or a pipe. Returns text; only the command line prints."""

from collections.abc import Callable, Collection, Iterator
from textwrap import fill
from typing import Any, NamedTuple

from loadtest.report.finding import sentence
from loadtest.report.render.figures import NOTHING, code, count, number, percent, plain, seconds, shortened
from loadtest.report.render.grid import GAP, grid
from loadtest.report.validity import RULE

DISTURBED, INVALID = "~", "†"
NARROWEST = 20  # a terminal below it gets lines of this width and may cut them
NAME_LENGTH = 24

Median = dict[str, Any]


class Column(NamedTuple):
    """``keep``: the higher, the longer it stays when the terminal is narrow."""

    title: str
    unit: str
    keep: int
    cell: Callable[[Median], str]


def table(summary: dict[str, Any], width: int, color: bool) -> str:
    """One line per arm, medians over the repetitions, at most ``width`` wide; ends without a line break.

    Columns that do not fit are left out, the least telling first, and named underneath; where not even
    the first few fit, each arm becomes a list of lines.
    """
    width = max(width, NARROWEST)
    arms = list(lines(summary))
    rows = [[column.cell(median) for column in COLUMNS] for _, median in arms]
    names = [_name(name, median) for name, median in arms]
    shown = _fitting(names, rows, width)
    if shown is None:
        shown = list(range(len(COLUMNS)))
        body = _lists(names, rows, width)
    else:
        body = _grid(names, rows, shown, width, color)
    return "\n".join([body, *(fill(note, width) for note in notes(summary, shown))])


def text(summary: dict[str, Any], width: int, color: bool) -> str:
    """The finding, the table and the warnings, ready to print; ends with a line break."""
    warnings = [
        fill(f"warning: {plain(w)}", max(width, NARROWEST), subsequent_indent="  ")
        for w in summary["warnings"]
    ]
    blocks = [
        fill(plain(sentence(summary)), max(width, NARROWEST)),
        table(summary, width, color),
        "\n".join(warnings),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def lines(summary: dict[str, Any]) -> Iterator[tuple[str, Median]]:
    """Each arm, and under a mixed fleet each of its functions, of which less is known."""
    for name, arm in summary["arms"].items():
        median = arm["median"]
        yield name, median
        for part, figures in (median.get("parts") or {}).items():
            unknown = {
                "connections": {"peak_count": None},
                "zombies": {"peak_count": None, "reclaim_p50_s": None},
            }
            yield f"- {part}", {"valid": True, **unknown, **figures}


def _latency(statistic: str) -> Callable[[Median], str]:
    def cell(median: Median) -> str:
        latency = median["latency_ms"]
        marked = statistic in latency["disturbed"] and latency[statistic] is not None
        return number(latency[statistic]) + (DISTURBED if marked else "")

    return cell


def _errors(median: Median) -> str:
    """The share of arrivals that got no answer, and the leading code."""
    leading = next((name for name, n in median["errors"].items() if n), None)
    return f"{percent(median['error_ratio']):>6}" + (f" {shortened(code(leading), 14)}" if leading else "")


COLUMNS = (
    Column("arrivals", "", 7, lambda m: count(m["arrivals_count"])),
    Column("good", "", 13, lambda m: percent(m["good_ratio"])),
    Column("errors", "", 12, _errors),
    Column("throttled", "", 2, lambda m: count(m["throttled_count"])),
    Column("mean", "ms", 11, _latency("mean")),
    Column("p50", "ms", 9, _latency("p50")),
    Column("p99", "ms", 10, _latency("p99")),
    Column("max", "ms", 4, _latency("max")),
    Column("conns", "peak", 8, lambda m: count(m["connections"]["peak_count"])),
    Column("zombies", "peak", 6, lambda m: count(m["zombies"]["peak_count"])),
    Column("reclaim", "time", 5, lambda m: seconds(m["zombies"]["reclaim_p50_s"])),
    Column("extra", "stmts", 3, lambda m: number(m["overhead_queries_per_invocation"])),
)
LEAST = 4  # columns beside the name; with fewer a list says more


def _name(name: str, median: Median) -> str:
    return shortened(plain(name), NAME_LENGTH) + ("" if median["valid"] else INVALID)


def _fitting(names: list[str], rows: list[list[str]], width: int) -> list[int] | None:
    """Which columns stand side by side in ``width``; None when too few do."""
    need = [
        max([len(c.title), len(c.unit), *(len(row[i]) for row in rows)]) + GAP for i, c in enumerate(COLUMNS)
    ]
    left = width - max([len("strategy"), *map(len, names)])
    shown = []
    for i in sorted(range(len(COLUMNS)), key=lambda i: -COLUMNS[i].keep):
        if need[i] <= left:
            shown.append(i)
            left -= need[i]
    return sorted(shown) if len(shown) >= LEAST else None


def _grid(names: list[str], rows: list[list[str]], shown: list[int], width: int, color: bool) -> str:
    # Errors to the left: a code follows the share, and shares are read as a column.
    heads = [(f"{COLUMNS[i].title}\n{COLUMNS[i].unit}", COLUMNS[i].title != "errors") for i in shown]
    cells = [
        [(name, "bold"), *((row[i], _style(row[i], COLUMNS[i].title)) for i in shown)]
        for name, row in zip(names, rows, strict=True)
    ]
    return grid([("strategy\n", False), *heads], cells, width, color)


def _style(cell: str, title: str) -> str:
    if cell.strip() == NOTHING or (cell.endswith(DISTURBED) and title != "errors"):
        return "dim"
    return "red" if title == "errors" and cell.strip() != "0%" else ""


def _lists(names: list[str], rows: list[list[str]], width: int) -> str:
    blocks = []
    for name, row in zip(names, rows, strict=True):
        lines = [
            f"  {' '.join(filter(None, (c.title, c.unit)))}: {cell.strip()}"
            for c, cell in zip(COLUMNS, row, strict=True)
        ]
        blocks.append("\n".join(shortened(line, width) for line in (name, *lines)))
    return "\n\n".join(blocks)


def _is_latency(i: int) -> bool:
    return COLUMNS[i].unit == "ms"


def notes(summary: dict[str, Any], shown: Collection[int] = range(len(COLUMNS))) -> list[str]:
    """What has to be known to read the table; ``shown`` are its columns, by index."""
    arms = list(lines(summary))
    cells = [COLUMNS[i].cell(median) for _, median in arms for i in shown if _is_latency(i)]
    marks = {cell[-1:] for cell in cells} | {INVALID for _, median in arms if not median["valid"]}
    hidden = [c.title for i, c in enumerate(COLUMNS) if i not in shown]
    counts = sorted({len(arm["repetitions"]) for arm in summary["arms"].values()})
    found = []
    if counts and counts[-1] > 1:
        span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        found.append(f"Medians of {span} repetitions.")
    if hidden:
        found.append(f"Left out for want of room: {', '.join(hidden)}.")
    if DISTURBED in marks:
        found.append(
            f"{DISTURBED} disturbed by the load generator: without what its own stalls disturbed this figure "
            f"moves by more than {RULE.moved_ratio:.0%}, so it carries no verdict."
        )
    if INVALID in marks:
        found.append(f"{INVALID} no repetition is valid for times: see the warnings.")
    return found
