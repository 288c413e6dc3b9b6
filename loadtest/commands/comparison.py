"""The command ``compare-reports``: reads the runs, compares, writes what was asked for, judges."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from loadtest.errors import UsageError
from loadtest.report.comparisons.compare import compare
from loadtest.report.comparisons.comparison import NONE, WORSE, Comparison, Rules, Side
from loadtest.report.comparisons.measures import BY_NAME
from loadtest.report.render.comparison_json import as_json
from loadtest.report.render.comparison_verdicts import (
    REGRESSION,
    asked,
    comparison_junit,
    line,
    why_none,
)
from loadtest.report.render.markdown import comparison_markdown
from loadtest.report.render.terminal import comparison_text
from loadtest.report.stored_runs import read
from loadtest.results.files import write_text
from loadtest.settings.nearest import nearest


class Request(NamedTuple):
    """What was asked for, named as the options. Thresholds are shares: 0.05 is 5%."""

    runs: Sequence[Path]
    pairs: Sequence[str]
    html: Path | None
    md: Path | None
    junit: Path | None
    as_json: bool
    threshold: float
    threshold_ratio: float
    normalise: str | None
    strict: bool
    fail_on: Sequence[str]
    width: int
    color: bool


class Answer(NamedTuple):
    """What to print to stdout, what to print to stderr, and how to end."""

    text: str
    complaints: list[str]
    exit_code: int


def compare_runs(request: Request) -> Answer:
    """Reads and compares the runs, and writes the files that were asked for.

    Raises:
        UsageError: a run cannot be read or compared. Nothing has been written.
        ResultsError: a file cannot be written.
    """
    _check(request)
    paths = request.runs if len(request.runs) > 1 else [request.runs[0]] * 2
    sides = _sides(paths, with_series=request.html is not None)
    rules = Rules(request.threshold, request.threshold_ratio, request.normalise)
    comparisons = [
        compare(sides[0], side, rules, [_pair(text, sides[0], side) for text in request.pairs] or None)
        for side in sides[1:]
    ]
    if request.md is not None:
        write_text(request.md, "\n".join(map(comparison_markdown, comparisons)))
    if request.junit is not None:
        write_text(request.junit, comparison_junit(comparisons, request.fail_on))
    if request.html is not None:
        from loadtest.report.render.comparison_page import comparison_page

        first, *others = (side.series for side in sides)
        write_text(request.html, comparison_page(comparisons, first, others))
    if request.as_json:
        text = json.dumps(as_json(comparisons), indent=1) + "\n"
    else:
        text = "\n".join(comparison_text(c, request.width, request.color) for c in comparisons)
    return Answer(text, *_judge(comparisons, request))


def _check(request: Request) -> None:
    if len(request.runs) == 1 and not request.pairs:
        raise UsageError("one run has nothing to be compared with: name another, or two arms with --arms A:B")
    for word in request.fail_on:
        if word != REGRESSION and word not in BY_NAME:
            known = [REGRESSION, *BY_NAME]
            raise UsageError(f"--fail-on {word!r}{nearest(word, known)}; there are {', '.join(known)}")


def _sides(paths: Sequence[Path], *, with_series: bool) -> list[Side]:
    """Reads each run once, two at a time: a run of a million rows takes a second."""
    different = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = dict(
            zip(different, pool.map(lambda path: read(path, with_series=with_series), different), strict=True)
        )
    return [found[path] for path in paths]


def _pair(text: str, base: Side, candidate: Side) -> tuple[str, str]:
    """The arms that ``A:B`` names. They are matched, not split: names of mixed fleets contain colons."""
    arms, others = (side.summary.capacity or side.summary.arms for side in (base, candidate))
    found = [(arm, other) for arm in arms for other in others if f"{arm}:{other}" == text]
    if not found and text in arms and text in others:
        found = [(text, text)]
    if not found:
        known = ", ".join(dict.fromkeys([*arms, *others]))
        raise UsageError(f"--arms {text!r} names no arms that are there: {known}")
    return min(found, key=lambda pair: len(pair[0]))


def _judge(comparisons: Sequence[Comparison], request: Request) -> tuple[list[str], int]:
    """The lines for stderr, and the exit code."""
    counting = (
        [(c, arm, m) for c in comparisons for arm, m in asked(c, request.fail_on)] if request.fail_on else []
    )
    worse = [line(c, arm, m) for c, arm, m in counting if m.verdict == WORSE]
    if worse:
        return worse, 1
    missing = [
        f"{arm}: {m.measure.name} has no verdict: {why_none(m)}"
        for _, arm, m in counting
        if m.verdict == NONE
    ]
    if request.fail_on:
        missing += [
            f"{arm} was to be run in {c.candidate}, and was not" for c in comparisons for arm in c.lost
        ]
    warnings = [text for c in comparisons for text in c.all_warnings()] if request.strict else []
    said = [*missing, *(f"--strict: {text}" for text in dict.fromkeys(warnings))]
    return said, 4 if said else 0
