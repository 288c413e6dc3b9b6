"""The verdicts of a comparison that may fail a pipeline, as lines and as JUnit."""

from collections.abc import Iterator, Sequence

from loadtest.report.comparisons.comparison import NONE, WORSE, Compared, Comparison
from loadtest.report.render.comparison_table import rows
from loadtest.report.render.junit import FAILED, PASSED, SKIPPED, Case, Suite, junit

REGRESSION = "regression"
STATES = {WORSE: FAILED, NONE: SKIPPED}


def asked(comparison: Comparison, fail_on: Sequence[str]) -> Iterator[tuple[str, Compared]]:
    """The arms and measures whose verdict counts.

    Args:
        comparison: of two runs.
        fail_on: ``regression`` for the gating measures, and names of measures; empty: the gating ones.
    """
    for arm, measures in comparison.arms.items():
        for name, c in measures.items():
            if name in fail_on or (c.measure.gates and (REGRESSION in fail_on or not fail_on)):
                yield arm, c


def line(comparison: Comparison, arm: str, c: Compared) -> str:
    """The verdict ``c`` of ``arm``, with both values, the change and its interval."""
    row = next(r for r in rows(comparison) if r.arm == arm and r.compared is c)
    _, base, candidate, change, interval, verdict, _ = row.cells
    return f"{arm}: {c.measure.name} {verdict}: {base} to {candidate}, {change} ({interval})"


def why_none(c: Compared) -> str:
    """Why a measure has no verdict."""
    return "; ".join(c.warnings) or "each side needs at least two repetitions"


def comparison_junit(comparisons: Sequence[Comparison], fail_on: Sequence[str]) -> str:
    """A suite for each candidate, with a case for each verdict that counts; without a verdict it is skipped.

    ``fail_on`` says which count, as in :func:`asked`. CI servers tell cases apart by class and name only, so
    with several candidates the class names its own.
    """
    seen: dict[str, int] = {}
    suites = []
    for comparison in comparisons:
        name = comparison.candidate
        seen[name] = seen.get(name, 0) + 1
        group = f"{name} ({seen[name]})" if seen[name] > 1 else name
        suites.append(_suite(comparison, fail_on, f"{group}: " if len(comparisons) > 1 else ""))
    return junit(suites)


def _suite(comparison: Comparison, fail_on: Sequence[str], prefix: str) -> Suite:
    cases = [
        Case(
            f"{prefix}{arm}",
            c.measure.name,
            STATES.get(c.verdict, PASSED),
            why_none(c) if c.verdict == NONE else line(comparison, arm, c),
        )
        for arm, c in asked(comparison, fail_on)
    ]
    return Suite(f"{comparison.candidate} against {comparison.base}", cases)
