"""The median of an arm's repetitions, field by field. Pure."""

from statistics import median
from typing import Any

from loadtest.report.times import STATISTICS

TIMES = ("latency_ms", "duration_ms")


def of_repetitions(repetitions: list[dict[str, Any]]) -> dict[str, Any]:
    """The same fields as a repetition has, over the valid ones.

    Where none is valid, times are None and all else is over all repetitions: counts and errors do not
    depend on how well the generator kept time. Unknown figures are left out of a median.
    """
    valid = [r for r in repetitions if r["valid"]]
    merged: dict[str, Any] = {
        "valid": bool(valid),
        "reasons": [] if valid else list(dict.fromkeys(t for r in repetitions for t in r["reasons"])),
    }
    used = valid or repetitions
    for key in dict.fromkeys(k for r in used for k in r if k not in merged):
        values = [r[key] for r in used if key in r]
        merged[key] = _errors(values) if key == "errors" else _merged(values)
        if not valid:
            for figures in (merged, *merged.get("parts", {}).values()):
                figures.update(
                    {k: {**dict.fromkeys(STATISTICS), "disturbed": []} for k in TIMES if k in figures}
                )
    return merged


def _merged(values: list[Any]) -> Any:
    known = [v for v in values if v is not None]
    if not known:
        return None
    if isinstance(known[0], list):
        return [name for name in STATISTICS if any(name in names for names in known)]
    if isinstance(known[0], dict):
        keys = dict.fromkeys(k for v in known for k in v)
        return {
            key: _errors([v.get(key) or {} for v in known])
            if key == "errors"
            else _merged([v.get(key) for v in known])
            for key in keys
        }
    return _number(known)


def _errors(values: list[dict[str, int]]) -> dict[str, int | float]:
    """By name, the most frequent first. A name that a repetition does not have did not occur in it."""
    names = {name for errors in values for name in errors}
    counts = {name: _number([errors.get(name, 0) for errors in values]) for name in names}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _number(values: list[int | float]) -> int | float:
    middle = median(values)
    whole = all(isinstance(v, int) for v in values) and float(middle).is_integer()
    return int(middle) if whole else float(middle)
