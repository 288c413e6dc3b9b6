"""The measures that a comparison compares, and which repetitions count for each. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from loadtest.results.summary import ArmFigures, number_at

SHORTEST_MS = 1e-9  # anything below is 0, as far as a clock can tell


class Measure(NamedTuple):
    """A field of ``summary.json``, such as ``latency_ms.p50``.

    ``better`` is 1 where more is better, -1 where less is. A regression in one that ``gates`` fails a run.
    """

    name: str
    better: int
    gates: bool

    @property
    def is_time(self) -> bool:
        return "." in self.name

    @property
    def is_relative(self) -> bool:
        """Whether two of its values are compared by their ratio, as times and capacities are."""
        return self.is_time or self is CAPACITY

    @property
    def statistic(self) -> str:
        """``p50`` of ``latency_ms.p50``; empty for a ratio."""
        return self.name.partition(".")[2]

    def of(self, figures: ArmFigures) -> float | None:
        """Its value in a repetition, in ms or as a ratio; None when unknown."""
        return number_at(figures, self.name.split("."))


MEASURES = (
    Measure("good_ratio", 1, gates=True),
    Measure("error_ratio", -1, gates=True),
    Measure("latency_ms.mean", -1, gates=True),
    Measure("latency_ms.p50", -1, gates=True),
    Measure("latency_ms.p90", -1, gates=False),
    Measure("latency_ms.p95", -1, gates=False),
    Measure("latency_ms.p99", -1, gates=False),
)
CAPACITY = Measure("capacity", 1, gates=True)  # of a search, in what it varies
BY_NAME = {measure.name: measure for measure in (*MEASURES, CAPACITY)}


class Values(NamedTuple):
    """One measure of one arm, a value per repetition that counts for it.

    ``arrivals_count`` is of those repetitions together. Values that are not ``trusted`` get no verdict.
    """

    values: list[float]
    arrivals_count: float
    warnings: list[str]
    trusted: bool


def values(repetitions: Sequence[ArmFigures], measure: Measure, whose: str) -> Values:
    """Selects the repetitions that count: all for errors, the valid ones for whatever depends on times.

    A repetition is also left out for a statistic that stalls of the load generator disturbed. Where that
    leaves fewer than half of them, the rest is too selective to be trusted.

    Args:
        repetitions: of one arm.
        measure: what to read from them.
        whose: the run and the arm, for the warnings.
    """
    valid = [r for r in repetitions if r.valid]
    timed = measure.name != "error_ratio"
    used = valid if timed else list(repetitions)
    warnings = []
    if len(valid) < len(repetitions) and timed:
        warnings.append(
            f"{whose}: {len(repetitions) - len(valid)} of {len(repetitions)} repetitions are not valid for "
            "times, and are left out"
        )
    trusted = True
    if measure.is_time:
        kept = [r for r in used if measure.statistic not in r.latency_ms.disturbed]
        disturbed_count = len(used) - len(kept)
        if disturbed_count:
            trusted = 2 * disturbed_count <= len(used)
            warnings.append(
                f"{whose}: {measure.name} of {disturbed_count} of {len(used)} repetitions was disturbed by "
                f"the load generator{', and is left out' if trusted else ': no verdict'}"
            )
            used = kept if trusted else used
    known = [(value, r) for r in used if (value := measure.of(r)) is not None]
    if 0 < len(known) < len(used):
        warnings.append(
            f"{whose}: {measure.name} of {len(used) - len(known)} of {len(used)} repetitions is unknown"
        )
    if measure.is_time and any(value < SHORTEST_MS for value, _ in known):
        warnings.append(f"{whose}: {measure.name} is 0, so there is no ratio")
        trusted = False
    arrivals_count = sum(r.arrivals_count or 0 for _, r in known)
    return Values([value for value, _ in known], arrivals_count, warnings, trusted and len(known) > 1)
