"""What one repetition left behind, checked: the values that every figure is made from.

Pure: no I/O and no clock. :mod:`loadtest.report.frame_reader` fills it from the run folder.
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
    """The tables of one repetition; columns as in :mod:`loadtest.results.rows`, times in seconds."""

    invocations: pd.DataFrame
    connections: pd.DataFrame
    kills: pd.DataFrame
    lags: pd.DataFrame
    samples: pd.DataFrame
    generator: pd.DataFrame
    meta: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    unknown: frozenset[str] = frozenset()  # tables that are empty because nothing of them could be read

    @property
    def start_s(self) -> float:
        """When arrivals began; NaN when nobody wrote it down."""
        return _number(self.meta, "start_s")

    @property
    def deadline_s(self) -> float:
        """The planned end of arrivals; NaN when nobody wrote it down."""
        return _number(self.meta, "deadline_s")

    @property
    def ended_s(self) -> float:
        """When the repetition was over, drained; NaN when it was killed."""
        return _number(self.meta, "ended_s")

    @property
    def cut_off(self) -> bool:
        return self.meta.get("cut_off") is True or isnan(self.ended_s)

    @property
    def wrong_load(self) -> list[str]:
        """Why the load was not the one that was asked for; empty when it was."""
        reasons = self.meta.get("wrong_load")
        return [str(text) for text in reasons] if isinstance(reasons, list) else []

    def window(self, warmup_s: float) -> "Window":
        """The part that counts: arrivals due in [start + warm-up, deadline)."""
        from_s = -inf if isnan(self.start_s) else self.start_s + warmup_s
        until_s = inf if isnan(self.deadline_s) else self.deadline_s
        # Whoever interrupts a run shortens its window. When it was killed instead, nobody knows by how much.
        open_s = nan if isnan(self.ended_s) else min(until_s, self.ended_s) - from_s
        return Window(from_s, until_s, open_s if isfinite(open_s) and open_s > 0 else nan)


@dataclass(frozen=True)
class Window:
    """[``from_s``, ``until_s``), and how many seconds of it arrivals came in (NaN when unknown)."""

    from_s: float
    until_s: float
    length_s: float

    def holds(self, times: pd.Series) -> Bools:
        values = times.to_numpy(dtype=np.float64)
        return (values >= self.from_s) & (values < self.until_s)

    def holds_seconds_ending(self, times: pd.Series) -> Bools:
        """For rows that are written at the end of the second that they speak of."""
        values = times.to_numpy(dtype=np.float64)
        return (values > self.from_s) & (values <= self.until_s)

    @property
    def known(self) -> bool:
        return isfinite(self.from_s) and isfinite(self.until_s)


def _number(values: dict[str, Any], key: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return nan
    return float(value) if isfinite(value) else nan
