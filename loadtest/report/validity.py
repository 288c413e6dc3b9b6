"""Whether the load generator kept up, so that the times of a repetition can be used. Pure.

A generator that stalls measures its own delay. Invocations that a stall may have made noticeably longer are
disturbed; a statistic that changes too much without them is marked, and a repetition with too many of them
is not valid for times. An arm that collapses because its strategy is bad is a result, and is valid.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from loadtest.report.frames import Bools, Floats
from loadtest.results.rows import latency


class Rule(NamedTuple):
    """The thresholds.

    Measured on 20 equal repetitions each of ``ideal`` and ``direct`` (README). On a quiet machine all 40
    passed; their spread ((max - min) / median) was 2.5% and 5.4% in the mean, 4.7% and 34% in p99. With two
    busy loops starting and stopping on the machine, 30 of 40 passed, with a spread of 2.1% and 5.1% in the
    mean, 8% and 43% in p99; over all repetitions of ``direct`` it was 11% and 70%. Counting every
    invocation that a stall touches, however little, rejected the same repetitions, but left the mean of a
    policy with long waits without a verdict. A ``moved_ratio`` of 10% let more of them pass. The rest of
    the spread comes from a server that was short of CPU, which figures of machine and generator do not show.
    """

    lag_s: float = 0.005  # shorter stalls of the loop are ignored
    stalled_ratio: float = 0.05  # of an invocation's latency; above, it is disturbed
    moved_ratio: float = 0.05  # a statistic that moves further without the disturbed rows is marked
    disturbed_ratio: float = 0.05  # of the invocations; above, no time of the repetition counts
    cpu_ratio: float = 0.80  # of one core, the mean of the busiest process over the window
    machine_cpu_ratio: float = 0.90  # in a busier second, every invocation counts as stalled


RULE = Rule()


class GeneratorHealth(NamedTuple):
    """What the generator's own figures say about one repetition; None is unknown.

    ``cpu_ratio`` is of one core, and so is ``functions_cpu_ratio``, of the processes of real functions;
    ``wrong_load`` says why the load was not the one that was asked for, and ``shortages_count`` for how many
    connects the machine had no port or open file left.
    """

    cut_off: bool
    window_known: bool
    arrivals_count: int
    lags_known: bool
    disturbed_ratio: float | None
    cpu_ratio: float | None
    wrong_load: tuple[str, ...] = ()
    functions_cpu_ratio: float | None = None
    shortages_count: int = 0


def reasons_against(generator: GeneratorHealth, rule: Rule = RULE) -> list[str]:
    """Why the times of a repetition cannot be used; empty when it is valid."""
    reasons = list(generator.wrong_load)
    if generator.cut_off:
        reasons.append("it was cut off before its end")
    if not generator.window_known:
        reasons.append("the times at which its arrivals began and ended are unknown")
    if not generator.arrivals_count:
        reasons.append("no arrival was due in its window")
    ratio, cpu = generator.disturbed_ratio, generator.cpu_ratio
    if generator.lags_known and ratio is not None and ratio > rule.disturbed_ratio:
        reasons.append(
            f"{ratio:.1%} of its invocations were disturbed by a stall of the generator over "
            f"{rule.lag_s * 1000:g} ms, or a second in which the machine was over "
            f"{rule.machine_cpu_ratio:.0%} busy (limit: {rule.disturbed_ratio:.0%})"
        )
        if generator.functions_cpu_ratio:
            reasons[-1] += (
                f"; the processes of its functions used {generator.functions_cpu_ratio:.1f} cores, of which "
                "on AWS each has its own: start them before the load (--provisioned), or use fewer at a time"
            )
    if cpu is None or not generator.lags_known:
        reasons.append("the generator's own figures are missing, so it is unknown whether it kept up")
    if cpu is not None and cpu > rule.cpu_ratio:
        reasons.append(
            f"a generator process used {cpu:.0%} of a core (limit: {rule.cpu_ratio:.0%}); "
            "use more --processes or a lower rate"
        )
    if generator.shortages_count:
        reasons.append(
            f"{generator.shortages_count:,} connects never left the generator's machine, which had no local "
            "port (EADDRNOTAVAIL) or open file (EMFILE) left for them: use more --processes for files, and "
            "--workers on other machines for ports"
        )
    return reasons


def stalls(lags: pd.DataFrame, generator: pd.DataFrame, rule: Rule = RULE) -> pd.DataFrame:
    """The stalls of the loop, and the seconds in which the machine had no CPU to spare.

    Args:
        lags: rows of :class:`loadtest.results.rows.Lag`.
        generator: rows of :class:`loadtest.results.rows.GeneratorSecond`.
        rule: ``machine_cpu_ratio`` says which seconds.
    """
    busy = generator[generator["machine_cpu_ratio"] > rule.machine_cpu_ratio]
    ends = busy["at_s"].to_numpy(dtype=np.float64)
    seconds = pd.DataFrame(
        {"worker": busy["worker"].to_numpy(dtype=np.int64), "started_s": ends - 1.0, "finished_s": ends}
    )
    return seconds if lags.empty else pd.concat([lags, seconds], ignore_index=True)


def stalled(invocations: pd.DataFrame, lags: pd.DataFrame, rule: Rule = RULE) -> Bools:
    """Which invocations overlap stalls of their own worker by more than ``stalled_ratio`` of their latency.

    The latency of the others is right to within that ratio. A long wait for a connection usually overlaps
    some short stall; leaving out all of those would leave only the invocations that did not wait. One that
    never finished is checked up to its start, since nothing after that was timed.

    Args:
        invocations: rows of :class:`loadtest.results.rows.Invocation`.
        lags: what :func:`stalls` returns.
        rule: the thresholds.
    """
    long = lags[lags["finished_s"] - lags["started_s"] > rule.lag_s]
    due = invocations["due_s"].to_numpy(dtype=np.float64)
    end = invocations["finished_s"].fillna(invocations["started_s"]).fillna(invocations["due_s"])
    ends = end.to_numpy(dtype=np.float64)
    cold_start_s = invocations["cold_start_s"].to_numpy(dtype=np.float64)
    took_s = np.maximum(0.0, latency(due, ends, cold_start_s))
    workers = invocations["worker"].to_numpy()
    hit = np.zeros(len(invocations), dtype=np.bool_)
    for worker, own in long.groupby("worker"):
        at, still_s = _still(own)
        rows = np.flatnonzero(workers == worker)
        overlap_s = np.interp(ends[rows], at, still_s) - np.interp(due[rows], at, still_s)
        hit[rows] = overlap_s > rule.stalled_ratio * took_s[rows]
    return hit


def _still(stalls: pd.DataFrame) -> tuple[Floats, Floats]:
    """How long the loop has been stalled in total at the start and end of each stall; linear in between."""
    ordered = stalls.sort_values("started_s")
    begins = ordered["started_s"].to_numpy(dtype=np.float64)
    latest = np.maximum.accumulate(ordered["finished_s"].to_numpy(dtype=np.float64))
    apart = begins[1:] > latest[:-1]  # a busy second and a lag within it count once
    begins, ends = begins[np.append(True, apart)], latest[np.append(apart, True)]
    after = np.cumsum(ends - begins)
    before = np.append(0.0, after[:-1])
    return np.column_stack((begins, ends)).ravel(), np.column_stack((before, after)).ravel()
