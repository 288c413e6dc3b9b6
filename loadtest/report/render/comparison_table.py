"""The table of a comparison: its rows and footnotes, the same in every format. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from loadtest.report.comparisons.comparison import BETTER, NOISE, NONE, WORSE, Compared, Comparison, Rules
from loadtest.report.wording import NOTHING, TIMES_SIGN, number, percent, shortened

HEADS = ("measure", "base", "candidate", "change", "95% interval", "verdict", "n")
NOTE_LENGTH = 300
TITLES = {
    "good_ratio": "good",
    "error_ratio": "errors",
    "capacity": "capacity",
    **{f"latency_ms.{s}": f"latency {s}, ms" for s in ("mean", "p50", "p90", "p95", "p99")},
}


class Row(NamedTuple):
    """One measure of one arm, as people read it: ``cells`` below HEADS, ``notes`` are its warnings."""

    arm: str
    compared: Compared
    cells: tuple[str, ...]
    notes: tuple[str, ...]


def rows(comparison: Comparison) -> Iterator[Row]:
    """Arm by arm, all measures. Times are in ms, or multiples of the reference."""
    rules = comparison.rules
    for arm, measures in comparison.arms.items():
        for c in measures.values():
            title = TITLES[c.measure.name]
            if rules.reference:
                title = title.replace(", ms", f", {TIMES_SIGN} {rules.reference}")
            show = number if c.measure.is_relative else percent
            figures = (title, show(c.base), show(c.candidate), _change(c), _interval(c))
            yield Row(arm, c, (*figures, _verdict(c, rules), f"{c.n[0]}, {c.n[1]}"), c.warnings)


def _change(c: Compared) -> str:
    if c.measure.is_relative:
        return NOTHING if c.ratio is None else f"{c.ratio:.3g} {TIMES_SIGN}"
    return NOTHING if c.difference is None else _points(c.difference)


def _interval(c: Compared) -> str:
    if c.interval is None:
        return NOTHING
    low, high = c.interval
    if c.measure.is_relative:
        return f"{low:.3g} … {high:.3g}"
    return f"{_points(low)} … {_points(high)}"


def _points(difference: float) -> str:
    """A difference of ratios in percentage points."""
    points = difference * 100
    if not points:
        return "0 pp"
    return f"{points:+.0f} pp" if abs(points) >= 10 else f"{points:+.2g} pp"


def _verdict(c: Compared, rules: Rules) -> str:
    if c.verdict == NONE:
        return f"{NOTHING} ({'one repetition' if min(c.n) == 1 else 'no evidence'})"
    if c.verdict != NOISE:
        return c.verdict
    if c.is_small:
        time, points = f"{rules.threshold * 100:.3g}%", f"{rules.threshold_ratio * 100:.3g} pp"
        return f"~ (less than {time if c.measure.is_relative else points})"
    return f"~ (needs {c.needed_repetitions:,} a side)" if c.needed_repetitions else NOISE


def headline(comparison: Comparison) -> str:
    """The result in one sentence: every gating measure that changed."""
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
        return f"{names}: not enough evidence for a verdict."
    return f"{names}: no significant change."


def marked(row: Row, notes: Sequence[str]) -> list[str]:
    """The cells of a row, with the numbers of its footnotes after the verdict.

    ``notes`` are all :func:`footnotes`, numbered from 1; raises :class:`ValueError` where one is missing.
    """
    marks = "".join(f"[{notes.index(shortened(note, NOTE_LENGTH)) + 1}]" for note in row.notes)
    return [*row.cells[:-2], f"{row.cells[-2]} {marks}".rstrip(), row.cells[-1]]


def footnotes(comparison: Comparison) -> list[str]:
    """All warnings, cut to a readable length."""
    return [shortened(note, NOTE_LENGTH) for note in comparison.all_warnings()]
