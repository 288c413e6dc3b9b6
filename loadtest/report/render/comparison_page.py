"""A comparison as one HTML file that needs nothing else. Returns text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest.report.compare import BETTER, WORSE, Comparison
from loadtest.report.render import comparison as render
from loadtest.report.render import plots
from loadtest.report.render.figures import plain, shortened
from loadtest.report.render.page import template
from loadtest.report.series import ArmSeries

Drawn = Mapping[str, ArmSeries]  # the series of a run, by arm
STYLES = {"base": ("#767676", "dashed"), "candidate": ("#0072B2", "solid")}
CLASSES = {BETTER: "good", WORSE: "bad"}
ARMS_DRAWN = 8


def comparison_page(comparisons: Sequence[Comparison], base: Drawn, candidates: Sequence[Drawn]) -> str:
    """``base`` and ``candidates`` are empty for a side without rows: then nothing is drawn of it."""
    figures: dict[str, Any] = {}
    shown = []
    for number, (comparison, candidate) in enumerate(zip(comparisons, candidates, strict=True)):
        keys: dict[str, list[str]] = {}
        for arm in list(comparison.arms)[:ARMS_DRAWN]:
            of_base, of_candidate = comparison.pairs[arm]
            both = {"base": base.get(of_base), "candidate": candidate.get(of_candidate)}
            made = dict(_figures(f"{number} {arm}", {k: s for k, s in both.items() if s is not None}))
            keys[arm] = list(made)
            figures |= made
        shown.append(_words(comparison, keys))
    drawing, places = plots.embedded(figures)
    rules = comparisons[0].rules
    return str(
        template("comparison.html").render(
            title="loadtest: comparison",
            comparisons=shown,
            heads=render.HEADS,
            verdict=render.HEADS.index("verdict"),
            threshold=f"{rules.threshold * 100:.3g}%",
            threshold_ratio=f"{rules.threshold_ratio * 100:.3g}",
            places=places,
            bokeh=plots.script() if drawing else "",
            drawing=drawing,
        )
    )


def _figures(key: str, sides: Drawn) -> Iterator[tuple[str, Any]]:
    if not sides:
        return
    yield f"{key} distribution", plots.distribution(sides, STYLES)
    yield f"{key} p50", plots.p50(sides, STYLES)
    yield f"{key} p99", plots.p99(sides, STYLES)
    yield f"{key} connections", plots.connections(sides, STYLES)


def _words(comparison: Comparison, keys: Mapping[str, list[str]]) -> dict[str, Any]:
    footnotes = [shortened(note, render.NOTE_LENGTH) for note in comparison.all_warnings()]
    rows = list(render.rows(comparison))
    return {
        "sentence": plain(render.summary_line(comparison)),
        "footnotes": [plain(text) for text in footnotes],
        "arms": [
            {
                "name": plain(arm),
                "rows": [
                    {"cells": render.marked(row, footnotes), "class": CLASSES.get(row.compared.verdict, "")}
                    for row in rows
                    if row.arm == arm
                ],
                "plots": keys.get(arm, []),
            }
            for arm in comparison.arms
        ],
    }
