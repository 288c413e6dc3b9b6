"""When faults were on in a repetition. Pure."""

from collections.abc import Iterator
from math import isnan, nan
from typing import Any, NamedTuple

from loadtest.report.frames import Frames


class Span(NamedTuple):
    """When a fault was on, in seconds from the start of the load; ``next_s`` is the next one, or the end."""

    fault: str
    began_s: float
    ended_s: float
    next_s: float


def spans(frames: Frames) -> list[Span]:
    """The faults that were carried out in a repetition, in order."""
    found = list(_read(frames.meta.get("faults"), frames.start_s))
    ends = [began_s for _, began_s, _ in found[1:]] + [frames.deadline_s - frames.start_s]
    return [Span(*one, next_s) for one, next_s in zip(found, ends, strict=True)] if found else []


def _read(faults: Any, start_s: float) -> Iterator[tuple[str, float, float]]:
    """``repetition.json`` may have been written by anyone."""
    for one in faults if isinstance(faults, list) else []:
        began_s, ended_s = (_number(one, key) - start_s for key in ("began_s", "ended_s"))
        if not (isnan(began_s) or isnan(ended_s)):
            yield str(one.get("fault")), began_s, ended_s


def _number(values: Any, key: str) -> float:
    value = values.get(key) if isinstance(values, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else nan
