"""What became of events that went through a queue: retries, duplicates, dead letters, its age. Pure."""

import numpy as np
import pandas as pd

from loadtest.report.frames import Floats, Frames, of_all_workers
from loadtest.results.rows import UNFINISHED
from loadtest.results.summary import QueueFigures

EVENT = ["worker", "client", "arrival"]


def has_queue(frames: Frames) -> bool:
    """Whether there was a queue between arrivals and functions."""
    return bool(frames.generator["queued_count"].notna().any())


def attempts_at(frames: Frames, rows: pd.DataFrame) -> pd.DataFrame:
    """The attempts at the events of ``rows``, invocations as stored, in their order."""
    found = frames.attempts.merge(rows[EVENT], on=EVENT)
    return found.sort_values([*EVENT, "invocation"], kind="stable")


def queue_figures(frames: Frames, rows: pd.DataFrame) -> QueueFigures:
    """Of the events of ``rows``; peaks are over the whole repetition.

    A retry is an attempt after one that failed; a duplicate an answer after the first; a dead letter an event
    that was given up.
    """
    attempts = attempts_at(frames, rows)
    reached = attempts[(attempts["container"] >= 0).to_numpy()]
    failed = (reached["error"] != "").astype(np.int64)
    failed_before = failed.groupby([reached[name] for name in EVENT]).cumsum() - failed
    answers = (reached["error"] == "").groupby([reached[name] for name in EVENT]).sum()
    given_up = ~rows["error"].isin(["", UNFINISHED]).to_numpy()
    known = "attempts" not in frames.unknown
    waiting = of_all_workers(frames.generator, "queued_count")
    oldest_s = frames.generator["queued_oldest_s"].max()
    return QueueFigures(
        deliveries_count=len(reached) if known else None,
        throttles_count=len(attempts) - len(reached) if known else None,
        retries_count=int((failed_before > 0).sum()) if known else None,
        duplicates_count=int((answers - 1).clip(lower=0).sum()) if known else None,
        dead_letters_count=int(given_up.sum()),
        waiting_peak_count=int(waiting.max()) if len(waiting) else None,
        oldest_peak_s=None if np.isnan(oldest_s) else float(oldest_s),
    )


def oldest_s(generator: pd.DataFrame, start_s: float) -> tuple[Floats, Floats]:
    """Seconds from ``start_s``, and for how long the oldest event of all workers had waited then.

    ``generator`` has the rows of ``generator.csv``.
    """
    second = np.floor(generator["at_s"] - start_s).rename("second")
    oldest = generator["queued_oldest_s"].fillna(0.0).groupby(second).max()
    return oldest.index.to_numpy(dtype=np.float64), oldest.to_numpy(dtype=np.float64)
