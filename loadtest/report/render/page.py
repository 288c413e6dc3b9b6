"""A run as one HTML file that needs nothing else. Returns text."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from loadtest.report.budget import MISSED, PASSED, Outcome
from loadtest.report.finding import sentence
from loadtest.report.render import palette, plots
from loadtest.report.render.budgets import line
from loadtest.report.render.figures import NOTHING, count, number, percent, plain, shortened
from loadtest.report.render.terminal import COLUMNS, lines, notes
from loadtest.report.series import ArmSeries, Pressure

ARMS_DRAWN = 12  # more cannot be told apart, and the page would grow without bound
VALUE_LENGTH = 200
WARNING_LENGTH = 500
ROWS = 300  # of a table that strangers fill
CLASSES = {PASSED: "good", MISSED: "bad"}


def template(file: str) -> Any:
    environment = Environment(
        loader=PackageLoader("loadtest.report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(file)


def run_page(
    summary: Mapping[str, Any],
    series: Mapping[str, ArmSeries],
    run: Mapping[str, Any],
    outcomes: Sequence[Outcome] = (),
) -> str:
    """``run`` is what ``run.json`` says. Everything in all three may come from strangers."""
    styles = palette.styles(summary["arms"])
    drawn = {arm: series[arm] for arm in list(summary["arms"])[:ARMS_DRAWN] if arm in series}
    figures = _figures(drawn, styles)
    drawing, places = plots.embedded(figures)
    numbers = sorted({s.course.number for s in drawn.values() if s.course is not None})
    settings = _words(summary.get("scenario"))
    return str(
        template("run.html").render(
            title=f"loadtest: {_text(settings.get('scenario', 'a run'))}",
            scenario=_text(settings.get("scenario", "unknown")),
            began=_began(run.get("t0")),
            sentence=plain(sentence(dict(summary))),
            budgets=[{"text": line(o), "class": CLASSES.get(o.state, "")} for o in outcomes],
            warnings=[shortened(plain(str(text)), WARNING_LENGTH) for text in summary["warnings"]],
            heads=[" ".join(filter(None, (c.title, c.unit))) for c in COLUMNS],
            table=list(_table(summary, styles))[:ROWS],
            notes=notes(dict(summary)),
            places=places,
            pressure=[key for key in figures if key.startswith("pressure ")],
            errors=[key for key in figures if key.startswith("errors ")],
            shown=", ".join(numbers) or NOTHING,
            command=_text(run.get("command", "unknown")),
            facts=list(_facts(summary)),
            validity=list(_validity(summary))[:ROWS],
            bokeh=plots.script() if drawing else "",
            drawing=drawing,
        )
    )


def _figures(arms: Mapping[str, ArmSeries], styles: Mapping[str, plots.Style]) -> dict[str, Any]:
    """By key, in the order of the page; nothing where there is nothing to draw."""
    courses = {arm: s.course for arm, s in arms.items() if s.course is not None}
    if not courses:
        return {}
    highest = max(_highest(course.pressure) for course in courses.values())
    found = {f"pressure {arm}": plots.pressure(arm, c.pressure, highest) for arm, c in courses.items()}
    found |= {f"errors {arm}": plots.errors(arm, series) for arm, series in arms.items()}
    found |= {
        "p50": plots.p50(arms, styles),
        "p99": plots.p99(arms, styles),
        "distribution": plots.distribution(arms, styles),
        "spent": plots.spent(arms),
        "containers": plots.containers(arms, styles),
        "cold": plots.cold_starts(arms, styles),
    }
    if any(len(waits) for series in arms.values() for waits in series.reclaims):
        found |= {"zombies": plots.zombies(arms, styles), "reclaim": plots.reclaim(arms, styles)}
    return {key: figure for key, figure in found.items() if figure is not None}


def _highest(seen: Pressure) -> float:
    """A little above whatever is drawn."""
    tops = np.append(seen.used, [seen.limit, 1.0])
    return 1.15 * float(np.nanmax(tops))


def _table(summary: Mapping[str, Any], styles: Mapping[str, plots.Style]) -> Any:
    for name, median in lines(dict(summary)):
        cells = [{"text": c.cell(median).strip(), "bad": _is_bad(c.title, median)} for c in COLUMNS]
        colour = styles[name][0] if name in styles else ""
        yield {"name": plain(name) + ("" if median["valid"] else "†"), "colour": colour, "cells": cells}


def _is_bad(title: str, median: Mapping[str, Any]) -> bool:
    return title == "errors" and bool(median["error_ratio"])


def _facts(summary: Mapping[str, Any]) -> Any:
    server = _words(summary.get("server"))
    environment = _words(summary.get("environment"))
    yield "Settings", _pairs(_words(summary.get("scenario")))
    yield "Server", _pairs({k: v for k, v in server.items() if k != "variables"})
    yield "Server variables", _pairs(_words(server.get("variables")))
    yield "Machine", _pairs({k: v for k, v in environment.items() if k != "versions"})
    yield "Versions", _pairs(_words(environment.get("versions")))


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_text(name), _text(_value(value))) for name, value in list(values.items())[:ROWS]]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return (
        {True: "yes", False: "no", None: NOTHING, "": NOTHING}.get(value, str(value))
        if isinstance(value, bool | str | None)
        else str(value)
    )


def _validity(summary: Mapping[str, Any]) -> Any:
    for arm, figures in summary["arms"].items():
        for index, repetition in enumerate(figures["repetitions"], 1):
            generator = repetition["generator"]
            yield (
                plain(arm),
                f"{index:02d}",
                count(repetition["arrivals_count"]),
                percent(generator["disturbed_ratio"]),
                number(generator["lateness_p99_ms"]),
                percent(generator["cpu_ratio"]),
                "yes" if repetition["valid"] else f"no: {plain('; '.join(repetition['reasons']))}",
            )


def _words(value: Any) -> Mapping[str, Any]:
    """What should be an object and may be anything."""
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return shortened(plain(str(value)), VALUE_LENGTH)


def _began(t0: Any) -> str:
    if isinstance(t0, bool) or not isinstance(t0, int | float) or not 0 < t0 < 1e11:
        return ""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(t0))
