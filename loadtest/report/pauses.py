"""When a database paused, from what a repetition's own file says. Pure."""

from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

from loadtest.results.summary import PauseFigures


def pause_figures(pauses: Iterable[Any], start_s: float, deadline_s: float) -> PauseFigures:
    """The figures of the load's time, from ``start_s`` to ``deadline_s``; unknown where that is.

    ``pauses`` are pairs of seconds; one without an end goes on. What is none is left out.
    """
    length_s = deadline_s - start_s
    if not (isfinite(length_s) and length_s > 0):
        return PauseFigures()
    paused_s, resumes_count = 0.0, 0
    for begin_s, end_s in filter(None, map(_pair, pauses)):
        paused_s += max(0.0, min(end_s, deadline_s) - max(begin_s, start_s))
        resumes_count += start_s <= end_s <= deadline_s
    return PauseFigures(min(1.0, paused_s / length_s), resumes_count)


def _pair(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    begin_s, end_s = value[0], inf if value[1] is None else value[1]
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (begin_s, end_s)]
    return (float(begin_s), float(end_s)) if all(numbers) and begin_s <= end_s else None
