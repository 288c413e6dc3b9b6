"""A comparison as a terminal's table, as Markdown and as JSON. Returns text and values."""

from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any, NamedTuple

from loadtest.report.compare import BETTER, NOISE, NONE, WORSE, Compared, Comparison, Rules
from loadtest.report.render.figures import NOTHING, TIMES, number, percent, plain, shortened
from loadtest.report.render.grid import grid

SCHEMA = 1  # of --json
STYLES = {BETTER: "green", WORSE: "bold red", NOISE: "", NONE: "dim"}
HEADS = ("measure", "base", "candidate", "change", "95% interval", "verdict", "n")
NARROWEST = 20
NOTE_LENGTH = 300
TITLES = {
    "good_ratio": "good",
    "error_ratio": "errors",
    **{f"latency_ms.{s}": f"latency {s}, ms" for s in ("mean", "p50", "p90", "p95", "p99")},
}


class Row(NamedTuple):
    """One measure of one arm, as people read it."""

    arm: str
    compared: Compared
    cells: tuple[str, ...]  # as HEADS
    notes: tuple[str, ...]  # its warnings


def rows(comparison: Comparison) -> Iterator[Row]:
    rules = comparison.rules
    for arm, measures in comparison.arms.items():
        for c in measures.values():
            title = TITLES[c.measure.name]
            if rules.reference:
                title = title.replace(", ms", f", {TIMES} {rules.reference}")
            show = number if c.measure.is_time else percent
            figures = (title, show(c.base), show(c.candidate), _change(c), _interval(c))
            yield Row(arm, c, (*figures, _verdict(c, rules), f"{c.n[0]}, {c.n[1]}"), c.warnings)


def _change(c: Compared) -> str:
    if c.measure.is_time:
        return NOTHING if c.ratio is None else f"{c.ratio:.3g} {TIMES}"
    return NOTHING if c.difference is None else _points(c.difference)


def _interval(c: Compared) -> str:
    if c.interval is None:
        return NOTHING
    low, high = c.interval
    if c.measure.is_time:
        return f"{low:.3g} … {high:.3g}"
    return f"{_points(low)} … {_points(high)}"


def _points(difference: float) -> str:
    """Percentage points."""
    points = difference * 100
    return (
        f"{points:+.{0 if abs(points) >= 10 else 2}{'f' if abs(points) >= 10 else 'g'}} pp"
        if points
        else "0 pp"
    )


def _verdict(c: Compared, rules: Rules) -> str:
    if c.verdict == NONE:
        return f"{NOTHING} ({'one repetition' if min(c.n) == 1 else 'no evidence'})"
    if c.verdict != NOISE:
        return c.verdict
    if c.is_small:
        time, points = f"{rules.threshold * 100:.3g}%", f"{rules.threshold_ratio * 100:.3g} pp"
        return f"~ (less than {time if c.measure.is_time else points})"
    return f"~ ({c.needed_repetitions:,} a side would tell)" if c.needed_repetitions else NOISE


def summary_line(comparison: Comparison) -> str:
    """What is to be taken from it, in one sentence."""
    same = comparison.base == comparison.candidate
    names = f"within {comparison.base}" if same else f"{comparison.candidate} against {comparison.base}"
    changed = [
        f"{row.arm}: {row.cells[0]} {row.compared.verdict}, {row.cells[3]}"
        for row in rows(comparison)
        if row.compared.measure.gates and row.compared.verdict in (BETTER, WORSE)
    ]
    if changed:
        return f"{names}: {'; '.join(changed)}."
    if comparison.verdict == NONE:
        return f"{names}: no verdict, for want of evidence."
    return f"{names}: no change that the evidence carries."


def text(comparison: Comparison, width: int, color: bool) -> str:
    """For a terminal or a pipe; ends with a line break."""
    width = max(width, NARROWEST)
    footnotes = [shortened(note, NOTE_LENGTH) for note in comparison.all_warnings()]
    found = list(rows(comparison))
    blocks = [fill(plain(summary_line(comparison)), width)]
    heads = [(head, head not in ("measure", "verdict")) for head in HEADS]
    for arm in comparison.arms:
        lines = [_styled(row, footnotes) for row in found if row.arm == arm]
        blocks.append(f"{plain(arm)}\n{grid(heads, lines, width, color)}")
    blocks.append("\n".join(fill(f"[{i}] {plain(t)}", width) for i, t in enumerate(footnotes, 1)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _styled(row: Row, footnotes: Sequence[str]) -> list[tuple[str, str]]:
    styles = {"verdict": STYLES[row.compared.verdict]}
    return [(cell, styles.get(head, "")) for head, cell in zip(HEADS, marked(row, footnotes), strict=True)]


def marked(row: Row, footnotes: Sequence[str]) -> list[str]:
    """Its cells, the verdict with the numbers of its warnings."""
    marks = "".join(f"[{footnotes.index(shortened(note, NOTE_LENGTH)) + 1}]" for note in row.notes)
    return [*row.cells[:-2], f"{row.cells[-2]} {marks}".rstrip(), row.cells[-1]]


def markdown(comparison: Comparison) -> str:
    """For a pull request."""
    footnotes = [shortened(note, NOTE_LENGTH) for note in comparison.all_warnings()]
    lines = [escaped(summary_line(comparison)), ""]
    lines += [f"| arm | {' | '.join(HEADS)} |", "|---|---|" + "---:|" * 4 + "---|---|"]
    lines += [
        "| " + " | ".join(escaped(cell) for cell in (row.arm, *marked(row, footnotes))) + " |"
        for row in rows(comparison)
    ]
    lines += ["", *(f"{i}. {escaped(note)}" for i, note in enumerate(footnotes, 1))]
    return "\n".join(lines).rstrip() + "\n"


def escaped(words: str) -> str:
    """As Markdown reads them plainly: no markup, no table, no mention, one line."""
    safe = plain(words).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_{}[]#|@~" and (c, safe) != ("~", "~") else c for c in safe)


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """What ``--json`` prints: one candidate's object, or several under ``candidates``."""
    found = [_json(c) for c in comparisons]
    if len(found) == 1:
        return {"schema": SCHEMA, **found[0]}
    return {"schema": SCHEMA, "base": comparisons[0].base, "candidates": found}


def _json(comparison: Comparison) -> dict[str, Any]:
    return {
        "base": comparison.base,
        "candidate": comparison.candidate,
        **({"normalised_by": comparison.rules.reference} if comparison.rules.reference else {}),
        "warnings": list(comparison.all_warnings()),
        "arms": {
            arm: {"measures": {name: _measure(c) for name, c in measures.items()}}
            for arm, measures in comparison.arms.items()
        },
        "verdict": comparison.verdict,
    }


def _measure(c: Compared) -> dict[str, Any]:
    return {
        "base": c.base,
        "candidate": c.candidate,
        "ratio": c.ratio,
        **({} if c.measure.is_time else {"difference": c.difference}),
        "interval": None if c.interval is None else list(c.interval),
        "n": list(c.n),
        "verdict": c.verdict,
        "needed_repetitions": c.needed_repetitions,
        "warnings": list(c.warnings),
    }
