"""When faults were on in a repetition. Pure."""

from collections.abc import Iterator
from math import inf, nan
from typing import Any, NamedTuple

from loadtest.report.frames import Frames

LARGEST_S = 1e9  # of a time that can be one


class Span(NamedTuple):
    """When a fault was on, in seconds from the start of the load; ``next_s`` is the next one, or the end."""

    fault: str
    began_s: float
    ended_s: float
    next_s: float

    @property
    def name(self) -> str:
        """``kill`` of ``kill@5+2``."""
        return self.fault.partition("@")[0].partition(":")[0]


def spans(frames: Frames) -> list[Span]:
    """The faults carried out in a repetition, in order; one that was not undone lasts to the end."""
    until_s = _until_s(frames)
    found = sorted(_read(frames.meta.get("faults"), frames.start_s, until_s), key=lambda one: one[1])
    ends = [*(began_s for _, began_s, _ in found), until_s][1:]
    return [Span(*one, next_s) for one, next_s in zip(found, ends, strict=True)] if found else []


def _until_s(frames: Frames) -> float:
    """How long arrivals came, in seconds from the start; NaN if that is unknown."""
    until_s = frames.deadline_s - frames.start_s
    return min(until_s, frames.ended_s - frames.start_s) if frames.cut_off else until_s


def _read(faults: Any, start_s: float, until_s: float) -> Iterator[tuple[str, float, float]]:
    """``repetition.json`` may have been written by anyone: only what lies within the load counts."""
    for one in faults if isinstance(faults, list) else []:
        began_s, ended_s = (_number(one, key) - start_s for key in ("began_s", "ended_s"))
        if 0 <= began_s < until_s:
            name = str(one.get("fault"))
            is_known = began_s <= ended_s < inf
            yield (name, began_s, ended_s) if is_known else (f"{name}, not undone", began_s, until_s)


def _number(values: Any, key: str) -> float:
    value = values.get(key) if isinstance(values, dict) else None
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_S
    return float(value) if known and value is not None else nan
