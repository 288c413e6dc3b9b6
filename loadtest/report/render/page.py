"""A run as one HTML file that needs nothing else. Returns text."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from loadtest.report.budgets.judgement import MISSED, PASSED, Judgement
from loadtest.report.courses import Pressure
from loadtest.report.headline import headline
from loadtest.report.render import fault_table, palette, plots
from loadtest.report.render.run_table import INVALID, Line, columns, is_valid, lines, notes
from loadtest.report.series import ArmSeries
from loadtest.report.wording import NOTHING, count, number, percent, plain, shortened
from loadtest.results.summary import Summary

ARMS_DRAWN_COUNT = 12  # more lines cannot be told apart, and the page would become too large
VALUE_LENGTH = 200
WARNING_LENGTH = 500
ROWS_COUNT = 300  # the most that a table has, since a run may hold anything
CLASSES = {PASSED: "good", MISSED: "bad"}


def template(file: str) -> Template:
    """The template ``file`` of this room, with everything escaped that it is given."""
    environment = Environment(
        loader=PackageLoader("loadtest.report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(file)


def run_page(
    summary: Summary,
    series: Mapping[str, ArmSeries],
    run: Mapping[str, Any],
    judgements: Sequence[Judgement] = (),
) -> str:
    """The page of a run. Texts in its arguments may have been written by anyone.

    Args:
        summary: the figures.
        series: what the plots show, by arm.
        run: the contents of ``run.json``.
        judgements: the judged budgets.
    """
    styles = palette.styles(summary.arms)
    drawn = {arm: series[arm] for arm in list(summary.arms)[:ARMS_DRAWN_COUNT] if arm in series}
    figures = _figures(drawn, styles)
    drawing, places = plots.embedded(figures)
    numbers = sorted({s.course.number for s in drawn.values() if s.course is not None})
    settings = _object(summary.scenario)
    return str(
        template("run.html").render(
            title=f"loadtest: {_text(settings.get('scenario', 'a run'))}",
            scenario=_text(settings.get("scenario", "unknown")),
            began=_began(run.get("t0")),
            sentence=plain(headline(summary)),
            budgets=[{"text": j.line(), "class": CLASSES.get(j.state, "")} for j in judgements],
            warnings=[shortened(plain(text), WARNING_LENGTH) for text in summary.warnings],
            heads=[column.head for column in columns(summary)],
            table=list(_table(summary, styles))[:ROWS_COUNT],
            notes=notes(summary),
            fault_heads=fault_table.HEADS,
            faults=[list(map(_text, line)) for line in fault_table.fault_lines(summary)][:ROWS_COUNT],
            fault_note=fault_table.NOTE,
            places=places,
            pressure=[key for key in figures if key.startswith("pressure ")],
            errors=[key for key in figures if key.startswith("errors ")],
            repetitions_shown=", ".join(numbers) or NOTHING,
            command=_text(run.get("command", "unknown")),
            facts=list(_facts(summary)),
            validity=list(_validity(summary))[:ROWS_COUNT],
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
    found = {f"pressure {arm}": plots.pressure(arm, c, highest) for arm, c in courses.items()}
    found |= {f"errors {arm}": plots.errors(arm, series) for arm, series in arms.items()}
    found |= {
        "p50": plots.p50(arms, styles),
        "p99": plots.p99(arms, styles),
        "distribution": plots.distribution(arms, styles),
        "spent": plots.spent(arms),
        "containers": plots.containers(arms, styles),
        "cold": plots.cold_starts(arms, styles),
    }
    if any(len(course.queue_at_s) for course in courses.values()):
        found |= {"queue": plots.queue(arms, styles)}
    if any(len(waits) for series in arms.values() for waits in series.reclaims_s):
        found |= {"zombies": plots.zombies(arms, styles), "reclaim": plots.reclaim(arms, styles)}
    return {key: figure for key, figure in found.items() if figure is not None}


def _highest(seen: Pressure) -> float:
    """The top of the axis: a little above everything that is drawn."""
    tops = np.concatenate([seen.used_count, [seen.limit_count, 1.0], *seen.proxy.values()])
    return 1.15 * float(np.nanmax(tops))


def _table(summary: Summary, styles: Mapping[str, plots.Style]) -> Iterator[dict[str, Any]]:
    known = columns(summary)
    for name, line in lines(summary):
        cells = [{"text": c.cell(line).strip(), "bad": _is_bad(c.title, line)} for c in known]
        colour = styles[name][0] if name in styles else ""
        mark = "" if is_valid(line) else INVALID
        yield {"name": plain(name) + mark, "colour": colour, "cells": cells}


def _is_bad(title: str, line: Line) -> bool:
    return title == "errors" and bool(line.error_ratio)


def _facts(summary: Summary) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    server, environment = _object(summary.server), _object(summary.environment)
    yield "Settings", _pairs(_object(summary.scenario))
    yield "Server", _pairs({k: v for k, v in server.items() if k != "variables"})
    yield "Server variables", _pairs(_object(server.get("variables")))
    yield "Machine", _pairs({k: v for k, v in environment.items() if k != "versions"})
    yield "Versions", _pairs(_object(environment.get("versions")))


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_text(name), _text(_value(value))) for name, value in list(values.items())[:ROWS_COUNT]]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return NOTHING if value is None or value == "" else str(value)


def _validity(summary: Summary) -> Iterator[tuple[str, ...]]:
    for name, arm in summary.arms.items():
        for number_of, repetition in enumerate(arm.repetitions, 1):
            generator = repetition.generator
            yield (
                plain(name),
                f"{number_of:02d}",
                count(repetition.arrivals_count),
                percent(generator.disturbed_ratio),
                number(generator.lateness_p99_ms),
                percent(generator.cpu_ratio),
                "yes" if repetition.valid else f"no: {plain('; '.join(repetition.reasons))}",
            )


def _object(value: Any) -> Mapping[str, Any]:
    """What should be an object, and may be anything."""
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return shortened(plain(str(value)), VALUE_LENGTH)


def _began(t0: Any) -> str:
    if isinstance(t0, bool) or not isinstance(t0, int | float) or not 0 < t0 < 1e11:
        return ""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(t0))
