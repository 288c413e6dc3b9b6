"""The table of a run's faults: its lines, the same in every format. Pure."""

from collections.abc import Iterator

from msgspec import UNSET

from loadtest.report.wording import code, count, percent, seconds, shortened
from loadtest.results.summary import FaultFigures, Summary

HEADS = ("fault", "strategy", "failed", "errors", "recovered", "connects/s", "lost", "doubled")
NAMES_COUNT = 3
NOTE = (
    "failed: arrivals without an answer, from the fault's beginning to the next one; recovered: from its end "
    "until 99% of each second's arrivals are good again; connects/s: the most in one second. Of several "
    "repetitions failed and errors are medians, the others the worst."
)
NEVER = "not by then"


def fault_lines(summary: Summary) -> Iterator[tuple[str, ...]]:
    """The cells of each line, as :data:`HEADS` names them, by fault and strategy; nothing without faults."""
    faults = {} if summary.faults is UNSET else summary.faults
    lines = [(arm, number, one) for arm, found in faults.items() for number, one in enumerate(found)]
    for arm, _, one in sorted(lines, key=lambda line: line[1]):
        lost, doubled = _integrity(summary, arm)
        yield (
            one.fault,
            arm,
            percent(one.error_ratio),
            _errors(one),
            NEVER if one.recovery_s is None else seconds(one.recovery_s),
            count(one.connects_peak_per_s),
            count(lost),
            count(doubled),
        )


def _integrity(summary: Summary, arm: str) -> tuple[float | None, float | None]:
    """Writes lost and doubled in the worst repetition; None without the workload ``ledger``."""
    found = [r.integrity for r in summary.arms[arm].repetitions if r.integrity] if arm in summary.arms else []
    lost = [one.lost_count for one in found if one.lost_count is not None]
    doubled = [one.doubled_count for one in found if one.doubled_count is not None]
    return max(lost, default=None), max(doubled, default=None)


def _errors(one: FaultFigures) -> str:
    named = [f"{shortened(code(name), 14)} {count(n)}" for name, n in one.errors.items() if n]
    more = len(named) - NAMES_COUNT
    return ", ".join(named[:NAMES_COUNT]) + (f" and {more} more" if more > 0 else "")
