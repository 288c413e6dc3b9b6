"""Whether the generator kept up, judged statistic by statistic and repetition by repetition. Pure.

A generator that stands still for a while measures its own delay. What a stall of the loop may have
made noticeably longer is taken out, and whatever changes thereby is marked; a repetition of which that
is too much carries no times at all. An arm that collapses because its strategy is bad is a finding and valid.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from loadtest.report.measured import Bools, Floats
from loadtest.report.times import moved
from loadtest.results.rows import latency


class Rule(NamedTuple):
    """The thresholds, here only.

    Seen on 20 equal repetitions of ``ideal`` and of ``direct`` (README): on a quiet machine all 40 passed,
    and spread (greatest less least, over the median) in the mean by 2.5% and 5.4%, in p99 by 4.7% and 34%;
    beside two busy loops that came and went 30 of 40 passed, the mean by 2.1% and 5.1%, p99 by 8% and 43%,
    where all of ``direct``'s had spread by 11% and 70%. To count every invocation that a stall touches, by
    however little, rejected the same ones, but left the mean of a policy with long waits without a verdict.
    An earlier ``moved_ratio`` of 10% let more pass. Machine and generator are not enough to tell when the
    server alone was short of CPU, which is the rest of the spread.
    """

    lag_s: float = 0.005  # a shorter stall of the loop disturbs nobody
    stalled_ratio: float = 0.05  # of an invocation's latency; above, it is disturbed
    moved_ratio: float = 0.05  # a statistic that moves further without the disturbed rows is marked
    disturbed_ratio: float = 0.05  # of the invocations; above, no time of the repetition counts
    cpu_ratio: float = 0.80  # of one core, the mean of the busiest process over the window
    machine_cpu_ratio: float = 0.90  # in a busier second nobody can say who waited for whom


RULE = Rule()


class Generator(NamedTuple):
    """What the generator's own figures say of one repetition. None is unknown."""

    cut_off: bool
    window_known: bool
    arrivals_count: int
    lags_known: bool
    disturbed_ratio: float | None
    cpu_ratio: float | None
    wrong_load: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """``valid`` for times, why not, and by measure the statistics that carry no verdict."""

    valid: bool
    reasons: list[str]
    disturbed: dict[str, list[str]]


def judge(times: Mapping[str, tuple[Floats, Bools]], generator: Generator, rule: Rule = RULE) -> Verdict:
    """``times`` has for each measure its sorted values in ms, and which of them are disturbed."""
    reasons = list(_reasons(generator, rule))
    disturbed = {name: moved(values, hit, rule.moved_ratio) for name, (values, hit) in times.items()}
    return Verdict(not reasons, reasons, disturbed)


def _reasons(generator: Generator, rule: Rule) -> list[str]:
    reasons = list(generator.wrong_load)
    if generator.cut_off:
        reasons.append("it was cut off before its end")
    if not generator.window_known:
        reasons.append("when its arrivals began and ended is not known")
    if not generator.arrivals_count:
        reasons.append("no arrival was due in its window")
    ratio, cpu = generator.disturbed_ratio, generator.cpu_ratio
    if generator.lags_known and ratio is not None and ratio > rule.disturbed_ratio:
        reasons.append(
            f"{ratio:.1%} of its invocations were disturbed by a stall of the generator over "
            f"{rule.lag_s * 1000:g} ms, or a second in which the machine was over "
            f"{rule.machine_cpu_ratio:.0%} busy ({rule.disturbed_ratio:.0%} may)"
        )
    if cpu is None or not generator.lags_known:
        reasons.append("the generator's own figures are missing, so nothing says that it kept up")
    if cpu is not None and cpu > rule.cpu_ratio:
        reasons.append(
            f"a generator process used {cpu:.0%} of a core ({rule.cpu_ratio:.0%} may); "
            "more --processes or a lower rate"
        )
    return reasons


def stalls(lags: pd.DataFrame, generator: pd.DataFrame, rule: Rule = RULE) -> pd.DataFrame:
    """The lags, and with them the seconds in which the machine had no CPU to spare."""
    busy = generator[generator["machine_cpu_ratio"] > rule.machine_cpu_ratio]
    ends = busy["at_s"].to_numpy(dtype=np.float64)
    seconds = pd.DataFrame(
        {"worker": busy["worker"].to_numpy(dtype=np.int64), "started_s": ends - 1.0, "finished_s": ends}
    )
    return seconds if lags.empty else pd.concat([lags, seconds], ignore_index=True)


def stalled(invocations: pd.DataFrame, lags: pd.DataFrame, rule: Rule = RULE) -> Bools:
    """Of which invocations a stall of their own worker's loop may have made more than ``stalled_ratio``.

    The latency of the others is true to that ratio: a long wait for a connection meets some short stall
    more often than not, and taking all of those out would leave a figure of those that did not wait.
    One that never finished is looked at until its start: no time was taken of what followed.
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
    """For how long the loop has stood still in all at the begin and end of each stall; linear in between."""
    ordered = stalls.sort_values("started_s")
    begins = ordered["started_s"].to_numpy(dtype=np.float64)
    latest = np.maximum.accumulate(ordered["finished_s"].to_numpy(dtype=np.float64))
    apart = begins[1:] > latest[:-1]  # a busy second and a lag in it count once
    begins, ends = begins[np.append(True, apart)], latest[np.append(apart, True)]
    after = np.cumsum(ends - begins)
    before = np.append(0.0, after[:-1])
    return np.column_stack((begins, ends)).ravel(), np.column_stack((before, after)).ravel()
