"""What of an arm is compared, and which of its repetitions count for it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SHORTEST_MS = 1e-9  # no clock tells less from nothing


class Measure(NamedTuple):
    """A field of ``summary.json``. ``gates``: a regression in it fails a run."""

    name: str
    better: int  # 1: more is better; -1: less is
    gates: bool

    @property
    def is_time(self) -> bool:
        return "." in self.name

    @property
    def statistic(self) -> str:
        return self.name.partition(".")[2]

    def of(self, figures: Mapping[str, Any]) -> float | None:
        """Its value in a repetition; None when unknown."""
        group, _, field = self.name.partition(".")
        return (figures.get(group) or {}).get(field) if field else figures.get(group)


MEASURES = (
    Measure("good_ratio", 1, gates=True),
    Measure("error_ratio", -1, gates=True),
    Measure("latency_ms.mean", -1, gates=True),
    Measure("latency_ms.p50", -1, gates=True),
    Measure("latency_ms.p90", -1, gates=False),
    Measure("latency_ms.p95", -1, gates=False),
    Measure("latency_ms.p99", -1, gates=False),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


class Values(NamedTuple):
    """What the repetitions of one arm say of one measure."""

    values: list[float]
    arrivals_count: int  # of those repetitions together
    warnings: list[str]
    trusted: bool  # False: figures, and no verdict


def values(repetitions: Sequence[Mapping[str, Any]], measure: Measure, whose: str) -> Values:
    """Errors do not depend on how well the generator kept time; whatever depends on times does.

    A statistic that a repetition's own stalls disturbed is left out; where fewer than half are left,
    what is left has been selected too much to be trusted.
    """
    valid = [r for r in repetitions if r["valid"]]
    timed = measure.name != "error_ratio"
    used = valid if timed else list(repetitions)
    warnings = []
    if len(valid) < len(repetitions) and timed:
        warnings.append(
            f"{whose}: {len(repetitions) - len(valid)} of {len(repetitions)} repetitions are not valid for "
            "times, and left out"
        )
    trusted = True
    if measure.is_time:
        disturbed = [r for r in used if measure.statistic in r["latency_ms"]["disturbed"]]
        if disturbed:
            trusted = 2 * len(disturbed) <= len(used)
            warnings.append(
                f"{whose}: {measure.name} of {len(disturbed)} of {len(used)} repetitions was disturbed by "
                f"the load generator{', and left out' if trusted else ': no verdict'}"
            )
            used = [r for r in used if r not in disturbed] if trusted else used
    known = [(value, r) for r in used if (value := measure.of(r)) is not None]
    if 0 < len(known) < len(used):
        warnings.append(
            f"{whose}: {measure.name} of {len(used) - len(known)} of {len(used)} repetitions is unknown"
        )
    if measure.is_time and any(value < SHORTEST_MS for value, _ in known):
        warnings.append(f"{whose}: {measure.name} is 0, so there is no ratio")
        trusted = False
    arrivals = sum(r.get("arrivals_count") or 0 for _, r in known)
    return Values([value for value, _ in known], arrivals, warnings, trusted and len(known) > 1)
