"""The median of an arm's repetitions, field by field. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from msgspec import UNSET, Struct

from loadtest.report.times import STATISTICS
from loadtest.results.summary import ArmFigures, PartFigures, Starts, Times

Group = TypeVar("Group", bound=Struct)
NOT_MERGED = ("valid", "reasons", "parts", "tags", "reconciliation")


def of_repetitions(repetitions: Sequence[ArmFigures]) -> ArmFigures:
    """The medians of all figures, over the valid repetitions.

    Where none is valid, times are None and everything else is over all repetitions: counts and errors do not
    depend on how well the load generator kept time. Unknown figures are left out of a median.
    """
    valid = [r for r in repetitions if r.valid]
    used = valid or repetitions
    found = ArmFigures(valid=bool(valid))
    if not valid:
        found.reasons = list(dict.fromkeys(text for r in repetitions for text in r.reasons))
    _merge(found, used)
    found.parts = _of_each([r.by_part() for r in used]) or UNSET
    found.tags = _of_each([r.by_tag() for r in used]) or UNSET
    if not valid:
        for some in found.with_parts():
            some.latency_ms, some.duration_ms, some.starts = Times(), Times(), Starts(some.starts.count)
    return found


def _of_each(repetitions: Sequence[Mapping[str, PartFigures]]) -> dict[str, PartFigures]:
    """The medians of what has the same name."""
    found = {name: PartFigures() for r in repetitions for name in r}
    for name, figures in found.items():
        _merge(figures, [r[name] for r in repetitions if name in r])
    return found


def _merge(target: Struct, groups: Sequence[Struct]) -> None:
    """Sets each field of ``target`` to the median of what the groups have."""
    for name in target.__struct_fields__:
        if name in NOT_MERGED:
            continue
        known = [value for group in groups if (value := getattr(group, name)) not in (None, UNSET)]
        if name in ("errors", "pins"):
            setattr(target, name, _counted(known))
        elif name == "disturbed":
            setattr(target, name, [s for s in STATISTICS if any(s in statistics for statistics in known)])
        elif known and isinstance(known[0], Struct):
            setattr(target, name, _merged(known))
        elif known:
            setattr(target, name, _number(known))


def _merged(groups: Sequence[Group]) -> Group:
    found = type(groups[0])()
    _merge(found, groups)
    return found


def _counted(values: Iterable[dict[str, int | float]]) -> dict[str, int | float]:
    """By name, the most frequent first. A name that a repetition lacks did not occur in it."""
    repetitions = list(values)
    names = {name for errors in repetitions for name in errors}
    counts = {name: _number([errors.get(name, 0) for errors in repetitions]) for name in names}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _number(values: list[int | float]) -> int | float:
    middle = median(values)
    whole = all(isinstance(v, int) for v in values) and float(middle).is_integer()
    return int(middle) if whole else float(middle)
