"""What a search found as one HTML file that needs nothing else. Returns text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtest.report.budgets.judgement import MISSED, PASSED, Judgement
from loadtest.report.render import capacity_table, palette, plots
from loadtest.report.render.capacity_table import HEADS, TRIAL_HEADS, axis_of
from loadtest.report.render.capacity_text import found, sentences
from loadtest.report.render.page import template
from loadtest.report.wording import plain
from loadtest.results.summary import Capacity, CapacityTrial, Summary

MARKS = {"held": "circle", "broken": "x", "untold": "square"}
CLASSES = {"held": "good", "broken": "bad"}
BUDGETS = {PASSED: "good", MISSED: "bad"}
VERDICT = TRIAL_HEADS.index("verdict")
SMALLEST_MS = 0.1  # an axis of logarithms has no 0


def capacity_page(summary: Summary, run: Mapping[str, Any], judgements: Sequence[Judgement] = ()) -> str:
    """The page of a search.

    Args:
        summary: what it found.
        run: the contents of ``run.json``.
        judgements: the judged budgets.
    """
    capacity = found(summary)
    figures = {
        "errors": _drawn(capacity, "errors, of 1", lambda trial: trial.figures.error_ratio),
        "p99": _drawn(capacity, "p99, ms", lambda trial: trial.figures.latency_ms.p99, y_axis_type="log"),
    }
    figures = {key: plot for key, plot in figures.items() if plot.renderers}
    drawing, places = plots.embedded(figures)
    asked = run.get("capacity")
    return str(
        template("capacity.html").render(
            title="loadtest: capacity",
            objective=plain(str(asked.get("slo", ""))) if isinstance(asked, dict) else "",
            sentences=[plain(text) for text in sentences(summary)],
            budgets=[{"text": one.line(), "class": BUDGETS.get(one.state, "")} for one in judgements],
            warnings=[plain(text) for text in summary.warnings],
            heads=HEADS,
            rows=[[plain(cell) for cell in row] for row in capacity_table.rows(capacity)],
            trial_heads=TRIAL_HEADS,
            trials=[
                {"cells": [plain(cell) for cell in row], "class": CLASSES.get(row[VERDICT], "")}
                for row in capacity_table.trial_rows(capacity)
            ],
            verdict_column=VERDICT,
            command=plain(str(run.get("command", "unknown"))),
            places=places,
            bokeh=plots.script() if drawing else "",
            drawing=drawing,
        )
    )


def _drawn(
    capacity: Mapping[str, Capacity], label: str, of: Callable[[CapacityTrial], float | None], **more: Any
) -> Any:
    """A figure of all trials over what varies: a line for each arm, and a mark for what each trial said."""
    axes = [axis_of(one) for one in capacity.values()]
    unit = f"{axes[0].vary}{axes[0].unit if axes[0].unit.startswith('/') else ''}" if axes else ""
    plot = plots.framed(label, unit, label, x_axis_type="log", **more)
    for arm, (colour, dash) in palette.styles(capacity).items():
        one = capacity[arm]
        known = sorted(
            (trial.value, value, trial.verdict) for trial in one.trials if (value := of(trial)) is not None
        )
        if not known:
            continue
        name = plots.name(arm)
        xs, ys = [x for x, _, _ in known], [max(y, SMALLEST_MS) if more else y for _, y, _ in known]
        plot.line(xs, ys, color=colour, line_dash=dash, line_width=2, legend_label=name)
        for verdict, mark in MARKS.items():
            chosen = [i for i, (_, _, said) in enumerate(known) if said == verdict]
            if chosen:
                plot.scatter(
                    [xs[i] for i in chosen], [ys[i] for i in chosen], marker=mark, size=9, line_width=2,
                    color=colour, fill_alpha=0.4, legend_label=name,
                )  # fmt: skip
        low, high = one.interval
        if low is not None and high is not None:
            plot.vspan(x=[low, high], line_color=colour, line_dash=dash, line_alpha=0.5)
    return plots.with_legend(plot)
