"""The rows of one repetition, from which all figures are computed. Pure.

:mod:`loadtest.report.frame_reader` reads them from the run folder.
"""

from dataclasses import dataclass, field
from math import inf, isfinite, isnan, nan
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frames:
    """The tables of one repetition; columns as in :mod:`loadtest.results.rows`, times in seconds.

    ``meta`` is the content of ``repetition.json``. ``unknown`` names the tables that could not be read, and
    are therefore empty.
    """

    invocations: pd.DataFrame
    connections: pd.DataFrame
    kills: pd.DataFrame
    lags: pd.DataFrame
    starts: pd.DataFrame
    attempts: pd.DataFrame
    pins: pd.DataFrame
    samples: pd.DataFrame
    generator: pd.DataFrame
    meta: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    unknown: frozenset[str] = frozenset()

    @property
    def start_s(self) -> float:
        """When arrivals began; NaN when it was not recorded."""
        return _number(self.meta, "start_s")

    @property
    def deadline_s(self) -> float:
        """The planned end of arrivals; NaN when it was not recorded."""
        return _number(self.meta, "deadline_s")

    @property
    def ended_s(self) -> float:
        """When the last invocations had ended, too; NaN when the repetition was killed."""
        return _number(self.meta, "ended_s")

    @property
    def cut_off(self) -> bool:
        """Whether the repetition was interrupted or killed."""
        return self.meta.get("cut_off") is True or isnan(self.ended_s)

    @property
    def wrong_load(self) -> list[str]:
        """Why the load was not the one that was asked for; empty when it was."""
        reasons = self.meta.get("wrong_load")
        return [str(text) for text in reasons] if isinstance(reasons, list) else []

    def window(self, warmup_s: float) -> "Window":
        """The part that counts: arrivals due in [start + ``warmup_s``, deadline)."""
        from_s = -inf if isnan(self.start_s) else self.start_s + warmup_s
        until_s = inf if isnan(self.deadline_s) else self.deadline_s
        # An interrupted run has a shorter window; how much shorter is unknown if it was killed.
        open_s = nan if isnan(self.ended_s) else min(until_s, self.ended_s) - from_s
        return Window(from_s, until_s, open_s if isfinite(open_s) and open_s > 0 else nan)


@dataclass(frozen=True)
class Window:
    """[``from_s``, ``until_s``), and for how many seconds of it arrivals came (NaN when unknown)."""

    from_s: float
    until_s: float
    length_s: float

    def holds(self, times: pd.Series) -> Bools:
        """Which of the times, in seconds, lie within it."""
        values = times.to_numpy(dtype=np.float64)
        return (values >= self.from_s) & (values < self.until_s)

    def holds_seconds_ending(self, times: pd.Series) -> Bools:
        """Which rows belong to it, where each is written at the end of the second that it describes."""
        values = times.to_numpy(dtype=np.float64)
        return (values > self.from_s) & (values <= self.until_s)

    @property
    def known(self) -> bool:
        """Whether its start and its end were recorded."""
        return isfinite(self.from_s) and isfinite(self.until_s)


def of_all_workers(generator: pd.DataFrame, name: str) -> "pd.Series[float]":
    """The column ``name`` of ``generator``, by whole second: the workers' largest counts, added up."""
    second = np.floor(generator["at_s"]).rename("second")
    by_worker = generator.groupby([second, "worker"])[name].max().unstack()
    # The workers' clocks tick at different moments, so sometimes one of them has no row for a second.
    found: pd.Series[float] = by_worker.ffill(limit=1).sum(axis=1)
    return found


def _number(values: dict[str, Any], key: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return nan
    return float(value) if isfinite(value) else nan


def column(frame: pd.DataFrame, name: str) -> Floats:
    """The column ``name`` of ``frame``, unknown numbers as NaN; in seconds if its name ends in ``_s``."""
    return frame[name].to_numpy(dtype=np.float64)
