"""A comparison as ``compare-reports --json`` prints it."""

from collections.abc import Sequence
from typing import Any

from loadtest.report.comparisons.comparison import Compared, Comparison

SCHEMA = 1  # of --json


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The object of the one candidate, or those of several under ``candidates``. Times are in ms."""
    found = [_comparison(c) for c in comparisons]
    if len(found) == 1:
        return {"schema": SCHEMA, **found[0]}
    return {"schema": SCHEMA, "base": comparisons[0].base, "candidates": found}


def _comparison(comparison: Comparison) -> dict[str, Any]:
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
        **({} if c.measure.is_relative else {"difference": c.difference}),
        "interval": None if c.interval is None else list(c.interval),
        "n": list(c.n),
        "verdict": c.verdict,
        "needed_repetitions": c.needed_repetitions,
        "warnings": list(c.warnings),
    }
