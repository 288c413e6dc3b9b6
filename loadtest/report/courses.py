"""One repetition over time, as the plots show it: connections, latencies, errors and containers. Pure."""

from dataclasses import dataclass
from math import ceil, isnan
from typing import Any

import numpy as np
import pandas as pd

from loadtest.report.fault_spans import Span, spans
from loadtest.report.frames import Floats, Frames, column
from loadtest.report.queues import has_queue, oldest_s
from loadtest.results.rows import latency

POINTS = 600  # the most that a series has
PROXYS = ("clients", "waiting", "pinned")  # counted by a proxy, or by what it says
GAP_S = 1.5  # between two samples of the monitor; a longer one is drawn as a gap
MS = 1000.0
CODES_COUNT = 6  # errors that are shown separately
OTHERS = "others"


@dataclass
class Pressure:
    """The server's connections over time, by what they do. NaN is a gap. Times are in s from the start."""

    at_s: Floats
    working_count: Floats  # an invocation is under way with it
    idle_count: Floats
    zombies_count: Floats
    limit_count: float  # max_connections; NaN when unknown
    refused_at_s: Floats
    refused_count: Floats
    proxy: dict[str, Floats]  # what a proxy said of itself, by what it counts; empty without one

    @property
    def used_count(self) -> Floats:
        return self.working_count + self.idle_count + self.zombies_count


@dataclass
class Course:
    """One repetition over time, by the seconds (or longer steps) in which its arrivals were due."""

    number: str
    pressure: Pressure
    at_s: Floats  # the middle of each step
    step_s: float
    p50_ms: Floats
    p99_ms: Floats
    error_counts: dict[str, Floats]  # by code
    cold_starts_count: Floats
    containers_at_s: Floats
    containers_count: Floats
    queue_at_s: Floats
    queue_oldest_s: Floats  # how long the oldest event had waited; empty without a queue
    faults: list[Span]


def course_of(number: str, frames: Frames) -> Course:
    """The repetition of this number over time."""
    rows = frames.invocations
    due = column(rows, "due_s")
    start_s = frames.start_s if not isnan(frames.start_s) else float(np.min(due, initial=0.0))
    length_s = float(np.max(due - start_s, initial=0.0))
    step_s = float(max(1, ceil(length_s / POINTS)))
    steps = np.maximum(0, np.floor((due - start_s) / step_s)).astype(np.int64)
    count = int(steps.max(initial=-1)) + 1
    error = rows["error"].astype(object).to_numpy()
    latency_ms, answered = latency_s(rows) * MS, error == ""
    containers = _containers(frames.generator, start_s, step_s)
    return Course(
        number,
        pressure_of(frames, start_s),
        (np.arange(count, dtype=np.float64) + 0.5) * step_s,
        step_s,
        _by_step(latency_ms[answered], steps[answered], count, 50.0),
        _by_step(latency_ms[answered], steps[answered], count, 99.0),
        _errors(error[~answered], steps[~answered], count),
        np.bincount(steps[rows["cold"].to_numpy(dtype=np.bool_)], minlength=count).astype(np.float64),
        containers.index.to_numpy(dtype=np.float64) * step_s,
        containers.to_numpy().astype(np.float64),
        *(oldest_s(frames.generator, start_s) if has_queue(frames) else (np.empty(0), np.empty(0))),
        spans(frames),
    )


def _containers(generator: pd.DataFrame, start_s: float, step_s: float) -> "pd.Series[float]":
    """The workers' counts of the same step, added up; a worker without a row had as many as before."""
    step = np.floor((generator["at_s"] - start_s) / step_s).rename("step")
    by_worker = generator.groupby([step, "worker"])["containers_count"].max().unstack()
    return by_worker.ffill(limit=1).sum(axis=1)


def _by_step(values: Floats, steps: Any, count: int, percentile: float) -> Floats:
    """NaN where nothing was answered."""
    result = np.full(count, np.nan)
    for step, own in pd.Series(values).groupby(steps):
        result[int(str(step))] = np.percentile(own.to_numpy(), percentile)
    return result


def _errors(names: Any, steps: Any, count: int) -> dict[str, Floats]:
    codes, totals = np.unique(names.astype(str), return_counts=True) if len(names) else (np.empty(0), [])
    order = [str(code) for _, code in sorted(zip(-np.asarray(totals), codes, strict=True))]
    by_code = {code: names == code for code in order[:CODES_COUNT]}
    if order[CODES_COUNT:]:
        by_code[OTHERS] = ~np.isin(names.astype(str), order[:CODES_COUNT])
    return {
        code: np.bincount(steps[hit], minlength=count).astype(np.float64) for code, hit in by_code.items()
    }


def pressure_of(frames: Frames, start_s: float) -> Pressure:
    """The server's connections over time, from the monitor's samples and the rows of the functions."""
    samples = frames.samples.sort_values("at_s", kind="stable")
    at, used = column(samples, "at_s"), column(samples, "connections_count")
    connections, rows = frames.connections, frames.invocations
    reaped = column(connections, "reaped_s")
    gone = np.fmax(column(connections, "gone_s"), reaped)  # dropped before its container went: no zombie
    gone[np.isnan(column(connections, "gone_s"))] = np.nan
    zombies = np.minimum(used, _alive(at, reaped, gone))
    working = np.minimum(used - zombies, _alive(at, column(rows, "started_s"), column(rows, "finished_s")))
    refused = column(samples, "refused_count")
    grown = np.diff(refused, prepend=refused[:1])
    when = grown > 0
    limits = column(samples, "max_connections")
    kept = evenly(at)
    return Pressure(
        (at - start_s)[kept],
        _with_gaps(at, working)[kept],
        _with_gaps(at, used - zombies - working)[kept],
        _with_gaps(at, zombies)[kept],
        limit_count=float(np.nanmax(limits)) if np.isfinite(limits).any() else float("nan"),
        refused_at_s=(at - start_s)[when],
        refused_count=grown[when],
        proxy={
            name: _with_gaps(at, seen)[kept]
            for name in PROXYS
            if np.isfinite(seen := column(samples, f"{name}_count")).any()
        },
    )


def _alive(at: Floats, begins: Floats, ends: Floats) -> Floats:
    """How many of the intervals contain each moment. NaN as end: it lasts. NaN as begin: it is none."""
    known = ~np.isnan(begins)
    begun = np.searchsorted(np.sort(begins[known]), at, side="right")
    ended = np.searchsorted(np.sort(ends[known & ~np.isnan(ends)]), at, side="right")
    return (begun - ended).astype(np.float64)


def _with_gaps(at: Floats, values: Floats) -> Floats:
    """NaN at the first sample after a gap, too: what happened in between is unknown."""
    return np.where(np.diff(at, prepend=at[:1]) > GAP_S, np.nan, values)


def latency_s(rows: pd.DataFrame) -> Floats:
    """The latency of each of ``rows``, invocations as stored; NaN where there was no answer."""
    return latency(column(rows, "due_s"), column(rows, "finished_s"), column(rows, "cold_start_s"))


def evenly(values: Floats) -> Any:
    """Indices of at most :data:`POINTS` of ``values``, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, max(0, len(values) - 1), min(len(values), POINTS)).astype(np.int64))
