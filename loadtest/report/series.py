"""What the plots show: series of limited length, made from the rows of an arm. Pure.

Plots over time show one repetition, the first valid one, because an average of several would look like none
of them. Distributions are over all rows of all repetitions that count.
"""

from dataclasses import dataclass, field

import numpy as np

from loadtest.report.courses import Course, course_of, evenly, latency_s
from loadtest.report.frames import Floats, Frames, column

MS = 1000.0
LEVELS_COUNT = 240


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
            series.course = course_of(number, frames)
        if valid and not series.valid:  # invalid repetitions are shown only if no other is there
            series.valid, series.latencies_ms, series.reclaims_s, series.spent_s = True, [], [], []
        if valid or not series.valid:
            self._add_distributions(series, frames)

    def _add_distributions(self, series: ArmSeries, frames: Frames) -> None:
        rows = frames.invocations
        within = frames.window(self._warmup_s).holds(rows["due_s"])
        answered = within & (rows["error"] == "").to_numpy(np.bool_)
        duration_s = column(rows, "finished_s") - column(rows, "started_s")
        series.latencies_ms.append(latency_s(rows)[answered] * MS)
        parts = [column(rows, name)[answered] for name in ("connect_s", "query_s", "manage_s")]
        # The last is a difference of measured times. Those of a real function count as its work.
        parts = [np.maximum(np.nan_to_num(part), 0.0) for part in parts]
        work = np.maximum(duration_s[answered] - sum(parts), 0.0)
        series.spent_s.append((np.array([part.sum() for part in (*parts, work)]), int(answered.sum())))
        reaped, gone = column(frames.connections, "reaped_s"), column(frames.connections, "gone_s")
        series.reclaims_s.append((gone - reaped)[np.isfinite(reaped) & ~(gone < reaped)])


def _thinned(values: Floats) -> Floats:
    thinned: Floats = values[evenly(values)]
    return thinned
