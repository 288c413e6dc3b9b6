"""A comparison as one HTML file that needs nothing else. Returns text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest.report.comparisons.comparison import BETTER, WORSE, Comparison
from loadtest.report.render import comparison_table, plots
from loadtest.report.render.page import template
from loadtest.report.series import ArmSeries
from loadtest.report.wording import plain

Drawn = Mapping[str, ArmSeries]  # the series of a run, by arm
STYLES = {"base": ("#767676", "dashed"), "candidate": ("#0072B2", "solid")}
CLASSES = {BETTER: "good", WORSE: "bad"}
ARMS_DRAWN_COUNT = 8


def comparison_page(comparisons: Sequence[Comparison], base: Drawn, candidates: Sequence[Drawn]) -> str:
    """The page of one or more comparisons with the same base.

    Args:
        comparisons: one for each candidate.
        base: the series of the base, by arm; empty where it has no rows, and so no plots.
        candidates: the series of each candidate.
    """
    drawn: dict[str, Any] = {}
    shown = []
    for number, (comparison, candidate) in enumerate(zip(comparisons, candidates, strict=True)):
        keys: dict[str, list[str]] = {}
        for arm in list(comparison.arms)[:ARMS_DRAWN_COUNT]:
            of_base, of_candidate = comparison.pairs[arm]
            both = {"base": base.get(of_base), "candidate": candidate.get(of_candidate)}
            made = dict(_plots(f"{number} {arm}", {k: s for k, s in both.items() if s is not None}))
            keys[arm] = list(made)
            drawn |= made
        shown.append(_context(comparison, keys))
    drawing, places = plots.embedded(drawn)
    rules = comparisons[0].rules
    return str(
        template("comparison.html").render(
            title="loadtest: comparison",
            comparisons=shown,
            heads=comparison_table.HEADS,
            verdict_column=comparison_table.HEADS.index("verdict"),
            threshold_percent=f"{rules.threshold * 100:.3g}",
            threshold_pp=f"{rules.threshold_ratio * 100:.3g}",
            places=places,
            bokeh=plots.script() if drawing else "",
            drawing=drawing,
        )
    )


def _plots(key: str, sides: Drawn) -> Iterator[tuple[str, Any]]:
    if not sides:
        return
    yield f"{key} distribution", plots.distribution(sides, STYLES)
    yield f"{key} p50", plots.p50(sides, STYLES)
    yield f"{key} p99", plots.p99(sides, STYLES)
    yield f"{key} connections", plots.connections(sides, STYLES)


def _context(comparison: Comparison, keys: Mapping[str, list[str]]) -> dict[str, Any]:
    footnotes = comparison_table.footnotes(comparison)
    rows = list(comparison_table.rows(comparison))
    return {
        "sentence": plain(comparison_table.headline(comparison)),
        "footnotes": [plain(text) for text in footnotes],
        "arms": [
            {
                "name": plain(arm),
                "rows": [
                    {
                        "cells": comparison_table.marked(row, footnotes),
                        "class": CLASSES.get(row.compared.verdict, ""),
                    }
                    for row in rows
                    if row.arm == arm
                ],
                "plots": keys.get(arm, []),
            }
            for arm in comparison.arms
        ],
    }
