"""The command ``compare-reports``: reads the runs, compares, writes what was asked for, judges."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from loadtest.errors import UsageError
from loadtest.report.comparisons.compare import compare
from loadtest.report.comparisons.comparison import NONE, WORSE, Compared, Comparison, Rules, Side
from loadtest.report.comparisons.measures import BY_NAME
from loadtest.report.render.comparison_json import as_json
from loadtest.report.render.comparison_table import rows
from loadtest.report.render.junit import FAILED, PASSED, SKIPPED, Case, Suite, junit
from loadtest.report.render.markdown import comparison_markdown
from loadtest.report.render.terminal import comparison_text
from loadtest.report.stored_runs import read
from loadtest.results.files import write_text
from loadtest.settings.nearest import nearest

REGRESSION = "regression"


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
        write_text(request.junit, junit(_suites(comparisons, request.fail_on)))
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
    arms, others = base.summary.arms, candidate.summary.arms
    found = [(arm, other) for arm in arms for other in others if f"{arm}:{other}" == text]
    if not found and text in arms and text in others:
        found = [(text, text)]
    if not found:
        known = ", ".join(dict.fromkeys([*arms, *others]))
        raise UsageError(f"--arms {text!r} names no arms that are there: {known}")
    return min(found, key=lambda pair: len(pair[0]))


def _asked(comparison: Comparison, fail_on: Sequence[str]) -> Iterator[tuple[str, Compared]]:
    """The measures whose verdict counts: the gating ones unless others were named, and those named."""
    for arm, measures in comparison.arms.items():
        for name, c in measures.items():
            if name in fail_on or (c.measure.gates and (REGRESSION in fail_on or not fail_on)):
                yield arm, c


def _suites(comparisons: Sequence[Comparison], fail_on: Sequence[str]) -> list[Suite]:
    """CI servers tell cases apart by class and name only, so of several candidates the class has the name."""
    several = len(comparisons) > 1
    seen: dict[str, int] = {}
    suites = []
    for comparison in comparisons:
        name = comparison.candidate
        seen[name] = seen.get(name, 0) + 1
        group = f"{name} ({seen[name]})" if seen[name] > 1 else name
        suites.append(_suite(comparison, fail_on, f"{group}: " if several else ""))
    return suites


def _suite(comparison: Comparison, fail_on: Sequence[str], prefix: str) -> Suite:
    states = {WORSE: FAILED, NONE: SKIPPED}
    cases = [
        Case(
            f"{prefix}{arm}",
            c.measure.name,
            states.get(c.verdict, PASSED),
            _why(c) if c.verdict == NONE else _line(comparison, arm, c),
        )
        for arm, c in _asked(comparison, fail_on)
    ]
    return Suite(f"{comparison.candidate} against {comparison.base}", cases)


def _why(c: Compared) -> str:
    return "; ".join(c.warnings) or "each side needs at least two repetitions"


def _line(comparison: Comparison, arm: str, c: Compared) -> str:
    row = next(r for r in rows(comparison) if r.arm == arm and r.compared is c)
    _, base, candidate, change, interval, verdict, _ = row.cells
    return f"{arm}: {c.measure.name} {verdict}: {base} to {candidate}, {change} ({interval})"


def _judge(comparisons: Sequence[Comparison], request: Request) -> tuple[list[str], int]:
    """The lines for stderr, and the exit code."""
    asked = (
        [(c, arm, m) for c in comparisons for arm, m in _asked(c, request.fail_on)] if request.fail_on else []
    )
    worse = [_line(c, arm, m) for c, arm, m in asked if m.verdict == WORSE]
    if worse:
        return worse, 1
    missing = [
        f"{arm}: {m.measure.name} has no verdict: {_why(m)}" for _, arm, m in asked if m.verdict == NONE
    ]
    if request.fail_on:
        missing += [
            f"{arm} was to be run in {c.candidate}, and was not" for c in comparisons for arm in c.lost
        ]
    warnings = [text for c in comparisons for text in c.all_warnings()] if request.strict else []
    said = [*missing, *(f"--strict: {text}" for text in dict.fromkeys(warnings))]
    return said, 4 if said else 0
