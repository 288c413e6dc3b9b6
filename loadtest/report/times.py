"""The statistics of a repetition's times. Pure."""

import numpy as np

from loadtest.report.frames import Bools, Floats
from loadtest.results.summary import Times

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
STATISTICS = ("mean", *PERCENTILES, "max")


def statistics(sorted_ms: Floats) -> Times:
    """Exact figures over all rows, in ms; all None when there are no rows.

    Percentiles are ``numpy.percentile``'s ``method="linear"``: definition 7 of Hyndman and Fan, "Sample
    Quantiles in Statistical Packages" (1996).

    Args:
        sorted_ms: the times in ms. Sorted, because a floating-point sum depends on its order, and a figure
            must not depend on the order of rows.
    """
    if not len(sorted_ms):
        return Times()
    levels = np.percentile(sorted_ms, list(PERCENTILES.values()), method="linear")
    percentiles = {name: float(value) for name, value in zip(PERCENTILES, levels, strict=True)}
    return Times(mean=float(np.mean(sorted_ms)), **percentiles, max=float(sorted_ms[-1]))  # type: ignore[arg-type]


def moved(sorted_ms: Floats, disturbed: Bools, moved_ratio: float) -> list[str]:
    """The statistics that change by more than ``moved_ratio`` of themselves without the disturbed rows.

    Args:
        sorted_ms: the times in ms, sorted.
        disturbed: for each of them, whether a stall of the load generator disturbed it.
        moved_ratio: the largest change that does not count, as a share of the statistic.
    """
    if not disturbed.any():
        return []
    all_rows, rest = statistics(sorted_ms), statistics(sorted_ms[~disturbed])
    return [name for name in STATISTICS if _moves(getattr(all_rows, name), getattr(rest, name), moved_ratio)]


def _moves(value: float | None, without: float | None, moved_ratio: float) -> bool:
    if value is None or without is None:
        return value is not without
    return abs(without - value) > moved_ratio * abs(value)
