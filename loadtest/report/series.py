"""What the plots show: series of limited length, made from the rows of an arm. Pure.

Plots over time show one repetition, the first valid one, because an average of several would look like none
of them. Distributions are over all rows of all repetitions that count.
"""

from dataclasses import dataclass, field
from math import ceil, isnan
from typing import Any

import numpy as np
import pandas as pd

from loadtest.report.frames import Floats, Frames
from loadtest.results.rows import latency

POINTS = 600  # the most that a series has
GAP_S = 1.5  # between two samples of the monitor; a longer one is drawn as a gap
MS = 1000.0
CODES_COUNT = 6  # errors that are shown separately
OTHERS = "others"
LEVELS_COUNT = 240


@dataclass
class Pressure:
    """The server's connections over time, by what they do. NaN is a gap. Times are in s from the start."""

    at_s: Floats
    working: Floats  # an invocation is under way with it
    idle: Floats
    zombies: Floats
    limit: float  # max_connections; NaN when unknown
    refused_at_s: Floats
    refused_count: Floats

    @property
    def used(self) -> Floats:
        return self.working + self.idle + self.zombies


@dataclass
class Course:
    """One repetition over time, by the seconds (or longer steps) in which its arrivals were due."""

    number: str
    pressure: Pressure
    at_s: Floats  # the middle of each step
    step_s: float
    p50_ms: Floats
    p99_ms: Floats
    errors: dict[str, Floats]  # by code
    cold_starts: Floats
    containers_at_s: Floats
    containers: Floats


@dataclass
class ArmSeries:
    """The series of one arm. Each list has an entry per repetition that counts.

    ``reclaims_s`` are the times from a reap until the server dropped the connection (NaN: never).
    ``spent_s`` has the time in connects, statements, the manager and the function's own work, summed over
    the answered invocations, and how many those are.
    """

    course: Course | None = None
    valid: bool = False
    latencies_ms: list[Floats] = field(default_factory=list)
    reclaims_s: list[Floats] = field(default_factory=list)
    spent_s: list[tuple[Floats, int]] = field(default_factory=list)

    def levels(self) -> tuple[Floats, Floats]:
        """Shares of the answered arrivals, and the latency in ms within which they were answered.

        It ends where ten rows are left beyond: a percentile over fewer rows means little.
        """
        values = np.sort(np.concatenate(self.latencies_ms)) if self.latencies_ms else np.empty(0)
        if len(values) < 20:
            return np.empty(0), np.empty(0)
        beyond = np.geomspace(1.0, 10 / len(values), LEVELS_COUNT)
        return 1 - beyond, np.percentile(values, 100 * (1 - beyond), method="linear")

    def reclaimed(self) -> tuple[Floats, Floats]:
        """Seconds until the server dropped a zombie, and the share of all zombies dropped by then."""
        values = np.concatenate(self.reclaims_s) if self.reclaims_s else np.empty(0)
        gone = np.sort(values[np.isfinite(values)])
        shares = np.arange(1, len(gone) + 1) / max(1, len(values))
        return _thinned(gone), _thinned(shares)

    def spent_ms(self) -> dict[str, float]:
        """The mean time in ms that an answered invocation spent, by what it was doing."""
        counts = sum(n for _, n in self.spent_s)
        if not counts:
            return {}
        means = sum((sums for sums, _ in self.spent_s), np.zeros(4)) / counts * MS
        return dict(zip(("connect", "query", "manage", "work"), map(float, means), strict=True))


class Series:
    """Collects the series of all arms, repetition by repetition, while the summary is made."""

    def __init__(self, warmup_s: float = 0.0) -> None:
        self.arms: dict[str, ArmSeries] = {}
        self._warmup_s = warmup_s

    def add(self, arm: str, number: str, frames: Frames, valid: bool) -> None:
        """Adds a repetition, the ``number``-th of its arm; ``valid``: its times can be used."""
        series = self.arms.setdefault(arm, ArmSeries())
        if series.course is None or (valid and not series.valid):
            series.course = _course(number, frames)
        if valid and not series.valid:  # invalid repetitions are shown only if no other is there
            series.valid, series.latencies_ms, series.reclaims_s, series.spent_s = True, [], [], []
        if valid or not series.valid:
            self._add_distributions(series, frames)

    def _add_distributions(self, series: ArmSeries, frames: Frames) -> None:
        rows = frames.invocations
        answered = frames.window(self._warmup_s).holds(rows["due_s"]) & (rows["error"] == "").to_numpy(
            np.bool_
        )
        latency_s, duration_s = _latency_s(rows), _floats(rows, "finished_s") - _floats(rows, "started_s")
        series.latencies_ms.append(latency_s[answered] * MS)
        parts = [_floats(rows, name)[answered] for name in ("connect_s", "query_s", "manage_s")]
        parts = [np.maximum(part, 0.0) for part in parts]  # the last is a difference of measured times
        work = np.maximum(duration_s[answered] - sum(parts), 0.0)
        series.spent_s.append((np.array([part.sum() for part in (*parts, work)]), int(answered.sum())))
        reaped, gone = _floats(frames.connections, "reaped_s"), _floats(frames.connections, "gone_s")
        series.reclaims_s.append((gone - reaped)[np.isfinite(reaped) & ~(gone < reaped)])


def _floats(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64)


def _latency_s(rows: pd.DataFrame) -> Floats:
    return latency(_floats(rows, "due_s"), _floats(rows, "finished_s"), _floats(rows, "cold_start_s"))


def _course(number: str, frames: Frames) -> Course:
    rows = frames.invocations
    due = _floats(rows, "due_s")
    start_s = frames.start_s if not isnan(frames.start_s) else float(np.min(due, initial=0.0))
    length_s = float(np.max(due - start_s, initial=0.0))
    step_s = float(max(1, ceil(length_s / POINTS)))
    steps = np.maximum(0, np.floor((due - start_s) / step_s)).astype(np.int64)
    count = int(steps.max(initial=-1)) + 1
    error = rows["error"].astype(object).to_numpy()
    latency_ms, answered = _latency_s(rows) * MS, error == ""
    containers = _containers(frames.generator, start_s, step_s)
    return Course(
        number,
        _pressure(frames, start_s),
        (np.arange(count, dtype=np.float64) + 0.5) * step_s,
        step_s,
        _by_step(latency_ms[answered], steps[answered], count, 50.0),
        _by_step(latency_ms[answered], steps[answered], count, 99.0),
        _errors(error[~answered], steps[~answered], count),
        np.bincount(steps[rows["cold"].to_numpy(dtype=np.bool_)], minlength=count).astype(np.float64),
        containers.index.to_numpy(dtype=np.float64) * step_s,
        containers.to_numpy().astype(np.float64),
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
    told = {code: names == code for code in order[:CODES_COUNT]}
    if order[CODES_COUNT:]:
        told[OTHERS] = ~np.isin(names.astype(str), order[:CODES_COUNT])
    return {code: np.bincount(steps[hit], minlength=count).astype(np.float64) for code, hit in told.items()}


def _pressure(frames: Frames, start_s: float) -> Pressure:
    samples = frames.samples.sort_values("at_s", kind="stable")
    at, used = _floats(samples, "at_s"), _floats(samples, "connections_count")
    connections, rows = frames.connections, frames.invocations
    reaped = _floats(connections, "reaped_s")
    gone = np.fmax(_floats(connections, "gone_s"), reaped)  # dropped before its container went: no zombie
    gone[np.isnan(_floats(connections, "gone_s"))] = np.nan
    zombies = np.minimum(used, _alive(at, reaped, gone))
    working = np.minimum(used - zombies, _alive(at, _floats(rows, "started_s"), _floats(rows, "finished_s")))
    refused = _floats(samples, "refused_count")
    grown = np.diff(refused, prepend=refused[:1])
    when = grown > 0
    limits = _floats(samples, "max_connections")
    kept = _kept(at)
    return Pressure(
        (at - start_s)[kept],
        _with_gaps(at, working)[kept],
        _with_gaps(at, used - zombies - working)[kept],
        _with_gaps(at, zombies)[kept],
        limit=float(np.nanmax(limits)) if np.isfinite(limits).any() else float("nan"),
        refused_at_s=(at - start_s)[when],
        refused_count=grown[when],
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


def _kept(values: Floats) -> Any:
    """Indices of at most :data:`POINTS` of them, evenly spaced."""
    return np.unique(np.linspace(0, max(0, len(values) - 1), min(len(values), POINTS)).astype(np.int64))


def _thinned(values: Floats) -> Floats:
    thinned: Floats = values[_kept(values)]
    return thinned
