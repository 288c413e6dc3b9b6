"""A run that the user names, read for a comparison or as a baseline: a folder or a ``summary.json``.

A run's figures are computed again from its rows, so a summary that was edited, or written by an older
version, cannot mislead. A ``summary.json`` without rows (say, a pipeline's artifact) is used as it is, once
it has been checked against the schema.
"""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from loadtest.errors import UsageError
from loadtest.report.capacities.reading import is_search, summarise_search
from loadtest.report.comparisons.comparison import Side
from loadtest.report.comparisons.measures import MEASURES
from loadtest.report.medians import of_repetitions
from loadtest.report.run_summary import summarise_run, warmup_s_of
from loadtest.report.series import Series
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import SCHEMA, Arm, ArmFigures, Capacity, Summary
from loadtest.settings.nearest import nearest
from loadtest.settings.strategy import ARM_NAME

CLOSE = 1e-9  # relative: figures that differ by less are the same


class _StoredArm(msgspec.Struct):
    repetitions: list[ArmFigures]
    median: Any = None  # computed again where it is missing or not of the schema


class _StoredSummary(msgspec.Struct):
    """What has to be there, and has to be right: the arms."""

    arms: dict[str, _StoredArm]
    schema: int = SCHEMA
    scenario: Any = None
    server: Any = None
    environment: Any = None
    capacity: dict[str, Capacity] | UnsetType = UNSET


def read(path: Path, *, with_series: bool = False) -> Side:
    """Reads a run.

    Args:
        path: a run folder, a link to one, or a ``summary.json``.
        with_series: also read what the plots show, where there are rows.

    Raises:
        UsageError: with the path, and what is wrong with it.
    """
    folder = path.parent if path.name == "summary.json" and (path.parent / "run.json").is_file() else path
    if folder.is_dir():
        return _from_folder(folder, str(path), with_series)
    if not path.exists():
        raise UsageError(f"{path} is not there{_nearest_sibling(path)}")
    return Side(str(path), _from_file(path))


def _from_folder(path: Path, name: str, with_series: bool) -> Side:
    folder = RunFolder.open(path)
    if is_search(folder.read_run()) and folder.trial_arms():
        return Side(name, summarise_search(folder))
    if not folder.arms() and folder.summary.is_file():
        return Side(name, _from_file(folder.summary), (f"{name} has no rows, so its summary.json is used",))
    series = Series(warmup_s_of(folder.read_run()))
    summary = summarise_run(folder, collect=series.add if with_series else None)
    where = ""
    if folder.summary.is_file():
        try:
            where = _disagreement(summary, _from_file(folder.summary))
        except UsageError:
            where = "it cannot be read"
    text = f"{name}: summary.json differs from its rows ({where}), so the rows are used"
    return Side(name, summary, (text,) if where else (), series.arms)


def _from_file(path: Path) -> Summary:
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_StoredSummary)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if stored.schema != SCHEMA:
        raise UsageError(
            f"{path}: schema {stored.schema!r} is not known to this version, which reads {SCHEMA}"
        )
    wrong = next((name for name in stored.arms if not ARM_NAME.fullmatch(name)), None)
    if wrong is not None:
        raise UsageError(f"{path}: an arm cannot be called {wrong[:60]!r}")
    return Summary(
        scenario=stored.scenario,
        server=stored.server,
        environment=stored.environment,
        arms={name: Arm(arm.repetitions, _median(arm)) for name, arm in stored.arms.items()},
        capacity=stored.capacity,
    )


def _median(arm: _StoredArm) -> ArmFigures:
    try:
        return msgspec.convert(arm.median, ArmFigures)
    except msgspec.ValidationError:
        return of_repetitions(arm.repetitions)


def _disagreement(summary: Summary, stored: Summary) -> str:
    """The first of the compared figures in which the two differ; empty when none does."""
    if list(summary.arms) != list(stored.arms):
        return "its arms"
    for name, arm in summary.arms.items():
        ours, theirs = arm.repetitions, stored.arms[name].repetitions
        if len(ours) != len(theirs):
            return f"{name}: {len(theirs)} repetitions, not {len(ours)}"
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
            for measure in MEASURES:
                if _differ(measure.of(one), measure.of(other)):
                    return f"{measure.name} of {name}/{number:02d}"
    return ""


def _differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > CLOSE * max(1.0, abs(one))


def _nearest_sibling(path: Path) -> str:
    """Run folders are named by their time, which is easily mistyped."""
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return nearest(path.name, siblings)
