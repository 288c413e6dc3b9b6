"""Series as bokeh figures, with the same colours and words on every page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.models import BoxAnnotation, ColumnDataSource, FixedTicker, HoverTool, Label, Range1d
from bokeh.plotting import figure
from bokeh.resources import INLINE

from loadtest.report.courses import Course
from loadtest.report.fault_spans import Span
from loadtest.report.frames import Floats
from loadtest.report.render import palette
from loadtest.report.series import ArmSeries
from loadtest.report.wording import plain, shortened

HEIGHT = 320
INK = "#767676"  # readable on white and on black
LOG = {"y_axis_type": "log"}
TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
NAME_LENGTH = 28

Style = tuple[str, str]


def script() -> str:
    """Bokeh's JavaScript, from its Python package: a page loads nothing from elsewhere."""
    return "\n".join(INLINE.clone(components=["bokeh"]).js_raw)


def embedded(figures: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The script that draws the figures, and the HTML element of each, by key."""
    if not figures:
        return "", {}
    document = Document()
    # Without freeze() all models are collected again for each figure, which is half of a report's time.
    with document.models.freeze():
        for one in figures.values():
            document.add_root(one)
    drawing, places = components(dict(figures), wrap_script=False)
    return drawing, dict(places)


def framed(title: str, x: str, y: str, **more: Any) -> Any:
    """An empty plot with a ``title``. ``x`` and ``y`` label its axes; bokeh's ``figure()`` gets ``more``."""
    plot = figure(
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        height=HEIGHT,
        sizing_mode="stretch_width",
        tools=TOOLS,
        active_scroll=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **more,
    )
    plot.title.text_color = INK
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = INK
        axis.axis_label_text_font_style = "normal"
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.grid_line_color, grid.grid_line_alpha = INK, 0.2
    return plot


def with_bands(plot: Any, faults: Sequence[Span]) -> Any:
    """``plot``, in which is marked when each of the ``faults`` was on."""
    for fault in faults:
        # One that is over at once gets a band that can be seen.
        right_s = max(fault.ended_s, fault.began_s + 0.1)
        plot.add_layout(
            BoxAnnotation(
                left=fault.began_s, right=right_s, fill_color=palette.FAULT, fill_alpha=0.15, line_color=None
            )
        )
        label = Label(
            x=fault.began_s, y=4, y_units="screen", text=fault.name, text_color=INK,
            text_font_size="11px", angle=90, angle_units="deg",
        )  # fmt: skip
        plot.add_layout(label)
    return plot


def with_legend(plot: Any, columns: int = 3) -> Any:
    """Puts the legend above the plot, in that many ``columns``. A click on a line's name hides the line."""
    if plot.legend:
        legend = plot.legend[0]
        plot.add_layout(legend, "above")
        legend.orientation, legend.ncols, legend.click_policy = "horizontal", columns, "hide"
        legend.background_fill_color = legend.border_line_color = None
        legend.label_text_color, legend.label_text_font_size = INK, "12px"
        legend.padding = legend.margin = 0
    return plot


def name(arm: str) -> str:
    """The name of ``arm`` as legends and titles show it."""
    return shortened(plain(arm), NAME_LENGTH)


def pressure(arm: str, course: Course, highest: float) -> Any:
    """Connections over time, stacked by what they do, with the limit and the refused connects.

    Lines for a proxy's clients, those that wait in it, and connections that are pinned to one client.

    Args:
        arm: the title.
        course: of the repetition that is shown.
        highest: the top of the axis in connections, the same for all arms of a page.
    """
    seen = course.pressure
    plot = framed(name(arm), "seconds", "connections", y_range=Range1d(0, highest))
    lower = np.zeros(len(seen.at_s))
    for label, values, colour in (
        ("working", seen.working_count, palette.WORKING),
        ("idle", seen.idle_count, palette.IDLE),
        ("zombie", seen.zombies_count, palette.ZOMBIE),
    ):
        upper = lower + values
        xs, ys = _areas(seen.at_s, lower, upper)
        plot.patches(xs, ys, color=colour, line_width=0, legend_label=label)
        lower = upper
    if np.isfinite(seen.limit_count):
        plot.line(
            [float(np.nanmin(seen.at_s, initial=0.0)), float(np.nanmax(seen.at_s, initial=1.0))],
            [seen.limit_count] * 2,
            color=palette.LIMIT,
            line_dash="dashed",
            line_width=2,
            legend_label="max_connections",
        )
    for label, values in seen.proxy.items():
        plot.line(seen.at_s, values, color=palette.PROXY[label], line_width=2, legend_label=f"proxy: {label}")
    if len(seen.refused_at_s):
        source = ColumnDataSource(
            {
                "at_s": seen.refused_at_s,
                "mark_count": np.full(len(seen.refused_at_s), highest * 0.97),  # where it is drawn
                "refused_count": seen.refused_count,
            }
        )
        marks = plot.scatter(
            "at_s", "mark_count", source=source, marker="inverted_triangle", size=8, color=palette.REFUSED,
            legend_label="refused",
        )  # fmt: skip
        tips = [("refused", "@refused_count"), ("at", "@at_s{0.0} s")]
        plot.add_tools(HoverTool(renderers=[marks], tooltips=tips))
    return with_legend(with_bands(plot, course.faults))


def _areas(at: Floats, lower: Floats, upper: Floats) -> tuple[list[list[float]], list[list[float]]]:
    """The x and y values of a polygon for each period without a gap."""
    known = np.isfinite(upper) & np.isfinite(lower)
    cuts = np.flatnonzero(np.diff(known.astype(np.int8))) + 1
    xs, ys = [], []
    for stretch in np.split(np.arange(len(at)), cuts):
        if len(stretch) > 1 and known[stretch[0]]:
            x, low, high = at[stretch], lower[stretch], upper[stretch]
            xs.append([*x, *x[::-1]])
            ys.append([*high, *low[::-1]])
    return xs, ys


def over_time(
    title: str,
    unit: str,
    arms: Mapping[str, ArmSeries],
    styles: Mapping[str, Style],
    of: Callable[[Course], dict[str, Floats]],
    **more: Any,
) -> Any:
    """A line for each arm that has a course.

    Args:
        title: of the plot.
        unit: of the y axis.
        arms: the series, by arm.
        styles: colour and dash, by arm.
        of: returns two columns of a course, the seconds and the values, by the names that the page has.
        more: passed to bokeh's ``figure()``.
    """
    plot = framed(title, "seconds", unit, **more)
    for arm, series in arms.items():
        if series.course is not None:
            columns = of(series.course)
            at_s, value = columns
            tip = f"@{value}{{0.[0]}} {unit} at @{at_s}{{0.[0]}} s"
            _line(plot, arm, columns, styles[arm], tip)
    return with_legend(with_bands(plot, _longest(arms)))


def _longest(arms: Mapping[str, ArmSeries]) -> list[Span]:
    """The arms had the same faults, and a server that came back sooner or later."""
    found: dict[str, Span] = {}
    for fault in (fault for s in arms.values() if s.course is not None for fault in s.course.faults):
        known = found.get(fault.fault)
        if known is None or fault.ended_s - fault.began_s > known.ended_s - known.began_s:
            found[fault.fault] = fault
    return list(found.values())


def p50(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """The median latency in ms of each step. ``styles``: :func:`palette.styles`."""
    return over_time(
        "p50 of each second", "ms", arms, styles, lambda c: {"at_s": c.at_s, "p50_ms": c.p50_ms}, **LOG
    )


def p99(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """The 99th percentile of the latency in ms of each step. ``styles``: :func:`palette.styles`."""
    return over_time(
        "p99 of each second", "ms", arms, styles, lambda c: {"at_s": c.at_s, "p99_ms": c.p99_ms}, **LOG
    )


def containers(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """How many containers there were, over time. ``styles``: :func:`palette.styles`."""
    return over_time(
        "Containers",
        "containers",
        arms,
        styles,
        lambda c: {"at_s": c.containers_at_s, "containers_count": c.containers_count},
    )


def queue(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """For how long the oldest event of the queue had waited. ``styles``: :func:`palette.styles`."""
    return over_time(
        "Age of the oldest event in the queue",
        "s",
        arms,
        styles,
        lambda c: {"at_s": c.queue_at_s, "oldest_s": c.queue_oldest_s},
    )


def cold_starts(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """Cold starts in a second, over time. ``styles``: :func:`palette.styles`."""
    return over_time(
        "Cold starts",
        "in a second",
        arms,
        styles,
        lambda c: {"at_s": c.at_s, "cold_starts_per_s": c.cold_starts_count / c.step_s},
    )


def connections(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """How many connections the server had, over time. ``styles``: :func:`palette.styles`."""
    return over_time(
        "Connections",
        "connections",
        arms,
        styles,
        lambda c: {"at_s": c.pressure.at_s, "used_count": c.pressure.used_count},
    )


def zombies(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """How many of the server's connections were zombies, over time. ``styles``: :func:`palette.styles`."""
    return over_time(
        "Zombies alive",
        "zombies",
        arms,
        styles,
        lambda c: {"at_s": c.pressure.at_s, "zombies_count": c.pressure.zombies_count},
    )


def _line(plot: Any, arm: str, columns: dict[str, Floats], style: Style, tip: str) -> None:
    """Draws the second of two columns over the first."""
    (x, y), (colour, dash) = columns, style
    source = ColumnDataSource(columns)
    drawn = plot.line(x, y, source=source, color=colour, line_dash=dash, line_width=2, legend_label=name(arm))
    plot.add_tools(
        HoverTool(renderers=[drawn], tooltips=[(name(arm).replace("@", "@@"), tip)], visible=False)
    )


LEVELS = {"50%": 0.5, "90%": 0.9, "99%": 0.99, "99.9%": 0.999, "99.99%": 0.9999}


def distribution(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """The latency in ms within which a share of the arrivals was answered.

    None if none was. ``styles`` are those of :func:`palette.styles`.
    """
    plot = framed("Latency within which so many were answered", "of all answered", "ms", y_axis_type="log")
    for arm, series in arms.items():
        answered_ratio, latency_ms = series.levels()
        if len(answered_ratio):
            columns = {"nines_count": -np.log10(1 - answered_ratio), "latency_ms": latency_ms}
            _line(plot, arm, columns, styles[arm], "@latency_ms{0.0} ms")
    labels = {float(-np.log10(1 - level)): label for label, level in LEVELS.items()}
    plot.xaxis.ticker, plot.xaxis.major_label_overrides = FixedTicker(ticks=list(labels)), labels
    return with_legend(plot) if plot.renderers else None


def errors(arm: str, series: ArmSeries) -> Any:
    """Errors of ``arm`` over time, stacked by code; None where there were none."""
    course = series.course
    if course is None or not course.error_counts:
        return None
    plot = framed(name(arm), "seconds", f"errors in {course.step_s:g} s")
    bottom = np.zeros(len(course.at_s))
    for (code, counts), colour in zip(course.error_counts.items(), palette.CODES, strict=False):
        plot.vbar(
            course.at_s, course.step_s * 0.9, bottom + counts, bottom, color=colour, line_width=0,
            legend_label=name(code),
        )  # fmt: skip
        bottom = bottom + counts
    return with_legend(with_bands(plot, course.faults))


def spent(arms: Mapping[str, ArmSeries]) -> Any:
    """The mean time in ms of an answered invocation, by what it was spent on."""
    means: dict[str, Any] = {}
    for arm, series in arms.items():
        found = series.spent_ms()
        if found:  # two names may be the same once they are shortened
            means[name(arm) if name(arm) not in means else f"{len(means) + 1}: {name(arm)}"] = found
    plot = framed("What an answered invocation took, on average", "ms", "", y_range=list(means)[::-1])
    columns: dict[str, Any] = {"arm": list(means)}
    for part in palette.SHARES:
        columns[f"{part}_ms"] = [found[part] for found in means.values()]
    drawn = plot.hbar_stack(
        [f"{part}_ms" for part in palette.SHARES],
        y="arm",
        height=0.7,
        color=list(palette.SHARES.values()),
        source=ColumnDataSource(columns),
        legend_label=list(palette.SHARES),
        line_width=0,
    )
    for part, bars in zip(palette.SHARES, drawn, strict=True):
        plot.add_tools(
            HoverTool(renderers=[bars], tooltips=[(part, f"@{part}_ms{{0.00}} ms")], visible=False)
        )
    return with_legend(plot)


def reclaim(arms: Mapping[str, ArmSeries], styles: Mapping[str, Style]) -> Any:
    """The share of zombies that the server had dropped so many seconds after the reap.

    None if it dropped none. ``styles`` are those of :func:`palette.styles`.
    """
    plot = framed("Zombies gone within", "seconds after the reap", "share of all zombies")
    for arm, series in arms.items():
        waited_s, reclaimed_ratio = series.reclaimed()
        if len(waited_s):
            columns = {"waited_s": waited_s, "reclaimed_ratio": reclaimed_ratio}
            _line(plot, arm, columns, styles[arm], "@reclaimed_ratio{0%} within @waited_s{0.00} s")
    return with_legend(plot) if plot.renderers else None
