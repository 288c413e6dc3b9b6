"""What each fault did to an arm: errors, recovery, and how hard it was connected to. Pure."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from loadtest.report.courses import latency_s
from loadtest.report.fault_spans import Span, spans
from loadtest.report.frames import Floats, Frames, column
from loadtest.results.summary import FaultFigures

GOOD_RATIO = 0.99  # of the arrivals of every second after it: then an arm has recovered
WINDOW_S = 1.0
STEP_S = 0.1


def figures_of(frames: Frames, slo_ms: float) -> list[FaultFigures]:
    """What each fault of one repetition did, from its beginning to the next one, or to the end.

    ``slo_ms`` is the longest latency of a good answer. An arrival that failed is the fault's during which it
    was due, or, between two, the next one's, if it was under way by then and could still be answered well.
    """
    rows = frames.invocations
    due_s, ended_s = (column(rows, name) - frames.start_s for name in ("due_s", "finished_s"))
    error = rows["error"].astype(str).to_numpy()
    good = (error == "") & (latency_s(rows) * 1000 <= slo_ms)
    connects_s, faults, slo_s = _connects_s(frames), spans(frames), slo_ms / 1000
    whose = _faults_of(due_s, np.where(error != "", ended_s, np.nan), faults, slo_s)
    found = []
    for number, span in enumerate(faults):
        within = whose == number
        # What could still have been answered well when the next one began says nothing of this.
        until_s = span.next_s - (slo_s if number + 1 < len(faults) else 0.0)
        names, counts = np.unique(error[within & (error != "")], return_counts=True)
        errors = sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda one: (-one[1], one[0]))
        arrivals_count = int(within.sum())
        found.append(
            FaultFigures(
                fault=span.fault,
                began_s=span.began_s,
                ended_s=span.ended_s,
                arrivals_count=arrivals_count,
                error_ratio=sum(count for _, count in errors) / arrivals_count if arrivals_count else None,
                errors=dict(errors),
                recovery_s=recovery_s(due_s, good, span.ended_s, until_s),
                connects_peak_per_s=_peak(connects_s, span.began_s, span.next_s),
            )
        )
    return found


def _faults_of(due_s: Floats, failed_s: Floats, faults: Sequence[Span], slo_s: float) -> Any:
    """The number of the fault to which each arrival counts; -1 for one before all of them.

    ``due_s`` and ``failed_s``, when it was due and when it failed (NaN if it did not), have a value for each.
    One that was overdue by more than ``slo_s`` when the next fault began is not that one's.
    """
    if not faults:
        return np.full(len(due_s), -1)
    began_s = np.array([fault.began_s for fault in faults])
    ended_s = np.array([fault.ended_s for fault in faults])
    found = np.searchsorted(began_s, due_s, side="right") - 1
    following = np.minimum(found + 1, len(faults) - 1)
    is_between = (following > found) & ((found < 0) | (due_s > ended_s[found]))
    is_hit = is_between & (failed_s >= began_s[following]) & (due_s > began_s[following] - slo_s)
    return np.where(is_hit, following, found)


def recovery_s(due_s: Floats, good: Any, ended_s: float, until_s: float) -> float | None:
    """Seconds from ``ended_s`` until 99% of the arrivals of every later second are good; None if never.

    Args:
        due_s: when each arrival was due, shape (arrivals,), in s from the start of the load.
        good: whether it had a good answer, shape (arrivals,).
        ended_s: when the fault had ended, in s from the start of the load.
        until_s: up to when to look, likewise. None, too, if that is less than a second later.
    """
    starts_s = np.arange(ended_s, until_s - WINDOW_S + 1e-9, STEP_S)
    order = np.argsort(due_s, kind="stable")
    times, bad = due_s[order], np.concatenate([[0], np.cumsum(~good[order])])
    first = np.searchsorted(times, starts_s)
    last = np.searchsorted(times, starts_s + WINDOW_S)
    spoiled = np.flatnonzero((bad[last] - bad[first]) > (1 - GOOD_RATIO) * (last - first))
    if not len(starts_s) or (len(spoiled) and spoiled[-1] == len(starts_s) - 1):
        return None
    return float((spoiled[-1] + 1) * STEP_S) if len(spoiled) else 0.0


def _connects_s(frames: Frames) -> Floats:
    """When each connect was tried, in s from the start: those of an invocation spread evenly over it."""
    rows = frames.invocations
    counts = np.nan_to_num(column(rows, "connects_count")).astype(np.int64)
    started_s, finished_s = column(rows, "started_s"), column(rows, "finished_s")
    known = (counts > 0) & np.isfinite(started_s)
    counts, started_s, finished_s = counts[known], started_s[known], finished_s[known]
    length_s = np.where(np.isfinite(finished_s), finished_s - started_s, 0.0)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (nth + 0.5) / np.repeat(counts, counts)
    times: Floats = np.repeat(started_s, counts) + np.repeat(length_s, counts) * share - frames.start_s
    return np.sort(times)


def _peak(times_s: Floats, from_s: float, until_s: float) -> int:
    """The most of the sorted times that lie within one second, of those in [from, until)."""
    some = times_s[(times_s >= from_s) & (times_s < until_s)]
    within = np.searchsorted(some, some + WINDOW_S) - np.arange(len(some))
    return int(within.max(initial=0))


def of_repetitions(repetitions: Sequence[Sequence[FaultFigures]]) -> list[FaultFigures]:
    """One for each fault: medians, but of recovery and of connects the worst of ``repetitions``.

    ``recovery_s`` is None if a repetition did not recover.
    """
    found: dict[str, list[FaultFigures]] = {}
    for repetition in repetitions:
        for one in repetition:
            found.setdefault(one.fault, []).append(one)
    return [_merged(group) for group in found.values()]


def _merged(group: list[FaultFigures]) -> FaultFigures:
    names = {name for one in group for name in one.errors}
    errors = {name: median([one.errors.get(name, 0) for one in group]) for name in names}
    recoveries = [one.recovery_s for one in group]
    ratios = [one.error_ratio for one in group if one.error_ratio is not None]
    return FaultFigures(
        fault=group[0].fault,
        began_s=median([one.began_s or 0.0 for one in group]),
        ended_s=median([one.ended_s or 0.0 for one in group]),
        arrivals_count=median([one.arrivals_count or 0 for one in group]),
        error_ratio=median(ratios) if ratios else None,
        errors=dict(sorted(errors.items(), key=lambda one: (-one[1], one[0]))),
        recovery_s=None if None in recoveries else max(r for r in recoveries if r is not None),
        connects_peak_per_s=max(one.connects_peak_per_s or 0 for one in group),
    )
