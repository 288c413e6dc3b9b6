"""``python -m loadtest.webui.plots``: the live plots as JSON, for the page's script to fill with data.

Run once in a separate process, since bokeh takes a second and 100 MB, which would disturb the generator.
"""

import json
import os
import sys
from typing import Any

from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from loadtest.report.render import palette
from loadtest.report.render.plots import INK, embedded, framed, with_legend
from loadtest.ways import proxies_in
from loadtest.webui.history import CODES, SERIES

LIVE, OTHER = "test_live", "test_other"  # the test that is shown, and the one that is laid over it, dashed


def main() -> int:
    columns = ["at_s", "step_s", "used_count", "errors_count", *SERIES, *CODES]
    live = ColumnDataSource({name: [] for name in columns}, name=LIVE)
    other = ColumnDataSource({name: [] for name in columns}, name=OTHER)
    drawing, places = embedded(
        {
            "connections": connections(live, other),
            "latency": latency(live, other),
            "errors": errors(live, other),
            "containers": containers(live, other),
            "decisions": decisions(live, other),
            "generator": generator(live),
        }
    )
    sys.stdout.write(json.dumps({"script": drawing, "places": places, "codes": CODES}))
    return 0


def connections(live: Any, other: Any) -> Any:
    """The server's connections, stacked by what they do, with their limit.

    The columns of ``live`` are the test that is shown, those of ``other`` the one that is laid over it.
    """
    plot = _plot("Connections of the server", "connections")
    parts = {
        "working": ("working_count", palette.WORKING),
        "idle": ("idle_count", palette.IDLE),
        "zombie": ("zombies_count", palette.ZOMBIE),
    }
    _stacked(plot, live, parts)
    plot.line("at_s", "limit_count", source=live, color=palette.LIMIT, line_dash="dashed", line_width=2,
              legend_label="max_connections")  # fmt: skip
    for label, colour in palette.PROXY.items() if proxies_in(os.environ) else ():
        plot.line("at_s", f"{label}_count", source=live, color=colour, line_width=2,
                  legend_label=f"proxy: {label}")  # fmt: skip
    _dashed(plot, other, {"used_count": INK, "zombies_count": palette.ZOMBIE})
    return with_legend(plot, columns=6)


def latency(live: Any, other: Any) -> Any:
    """The median and the 99th percentile of the latency of each second, in ms.

    The columns of ``live`` are the test that is shown, those of ``other`` the one that is laid over it.
    """
    colours = {"p50_ms": palette.WORKING, "p99_ms": palette.ZOMBIE}
    return _of_both(_plot("Latency of each second", "ms", y_axis_type="log"), live, other, colours)


def errors(live: Any, other: Any) -> Any:
    """Errors in a second, stacked by code, and the connects that the server refused.

    The columns of ``live`` are the test that is shown, those of ``other`` the one that is laid over it.
    """
    plot = _plot("Errors, by code", "in a second")
    colours = (*palette.CODES, "#8C6D00", "#5A3FA0")
    _stacked(plot, live, {code: (code, colour) for code, colour in zip(CODES, colours, strict=True)})
    plot.scatter("at_s", "refused_count", source=live, marker="inverted_triangle", size=5,
                 color=palette.REFUSED, legend_label="refused by the server")  # fmt: skip
    _dashed(plot, other, {"errors_count": INK})
    return with_legend(plot, columns=6)


def containers(live: Any, other: Any) -> Any:
    """How many containers there are, and cold starts in a second.

    The columns of ``live`` are the test that is shown, those of ``other`` the one that is laid over it.
    """
    colours = {"containers_count": palette.WORKING, "cold_starts_count": palette.ZOMBIE}
    return _of_both(_plot("Containers", "containers, cold starts in a second"), live, other, colours)


def decisions(live: Any, other: Any) -> Any:
    """How many connections were kept, closed, expired or killed in a second.

    The columns of ``live`` are the test that is shown, those of ``other`` the one that is laid over it.
    """
    colours = {
        "kept_count": "#009E73",
        "closed_count": palette.WORKING,
        "expired_count": "#E69F00",
        "killed_count": palette.ZOMBIE,
    }
    return _of_both(_plot("What became of connections", "in a second"), live, other, colours)


def generator(live: Any) -> Any:
    """The lag of the generator's loop in ms, and its CPU in %; of ``live``, the test that is shown."""
    plot = _plot("The generator itself", "lag of its loop in ms, CPU in %")
    _lines(plot, live, {"lag_ms": palette.ZOMBIE, "cpu_percent": palette.WORKING})
    return with_legend(plot, columns=6)


def _plot(title: str, unit: str, **more: Any) -> figure:
    plot: figure = framed(title, "seconds", unit, **more)
    if "y_axis_type" not in more:
        plot.y_range.start = 0
    plot.height = 260
    return plot


def _of_both(plot: Any, live: Any, other: Any, colours: dict[str, str]) -> Any:
    _lines(plot, live, colours)
    _dashed(plot, other, colours)
    return with_legend(plot, columns=6)


def _stacked(plot: Any, source: Any, parts: dict[str, tuple[str, str]]) -> None:
    """Stacked bars instead of areas, so that unknown values are gaps; the column and colour of each name."""
    columns, colours = zip(*parts.values(), strict=True)
    plot.vbar_stack(
        list(columns), x="at_s", width="step_s", color=list(colours), source=source, line_width=0,
        legend_label=list(parts),
    )  # fmt: skip


def _lines(plot: Any, source: Any, colours: dict[str, str]) -> None:
    for name, colour in colours.items():
        plot.line("at_s", name, source=source, color=colour, line_width=2, legend_label=_words(name))


def _dashed(plot: Any, source: Any, colours: dict[str, str]) -> None:
    for name, colour in colours.items():
        plot.line(
            "at_s", name, source=source, color=colour, line_width=2, line_dash="dashed",
        )  # fmt: skip


def _words(name: str) -> str:
    return name.removesuffix("_ms").removesuffix("_count").replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
