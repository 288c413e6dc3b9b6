"""What the user names, as a run to compare: a folder, ``results/latest``, or a ``summary.json``.

A run's figures are computed again from its rows, so a summary that was edited, or made by an older
version's rules, cannot mislead; without rows (a file from an artefact) it is taken as it is, once
every field that is needed has been checked.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from loadtest.errors import UsageError
from loadtest.report.compare import Side
from loadtest.report.measures import MEASURES
from loadtest.report.medians import of_repetitions
from loadtest.report.recompute import summarise_run, warmup_s_of
from loadtest.report.series import Series
from loadtest.results.run_folder import SCHEMA, RunFolder
from loadtest.settings.strategy import ARM_NAME

Share = Annotated[float, Meta(ge=0, le=1)] | None
Time = Annotated[float, Meta(ge=0, le=1e12)] | None
Count = Annotated[int, Meta(ge=0)] | None
CLOSE = 1e-9


class _Latency(msgspec.Struct):
    mean: Time = None
    p50: Time = None
    p90: Time = None
    p95: Time = None
    p99: Time = None
    disturbed: list[str] = []


class _Repetition(msgspec.Struct):
    valid: bool
    reasons: list[str] = []
    arrivals_count: Count = None
    good_ratio: Share = None
    error_ratio: Share = None
    latency_ms: _Latency = msgspec.field(default_factory=_Latency)


class _Arm(msgspec.Struct):
    repetitions: list[_Repetition]


class _Summary(msgspec.Struct):
    arms: dict[str, _Arm]
    schema: int = SCHEMA


def read(path: Path, *, with_series: bool = False) -> Side:
    """``with_series``: also what its plots show, where there are rows.

    Raises :class:`UsageError` with the path and what is wrong with it.
    """
    folder = path.parent if path.name == "summary.json" and (path.parent / "run.json").is_file() else path
    if folder.is_dir():
        return _of_folder(folder, str(path), with_series)
    if not path.exists():
        raise UsageError(f"{path} is not there{_near(path)}")
    return Side(str(path), _of_file(path))


def _of_folder(path: Path, name: str, with_series: bool) -> Side:
    folder = RunFolder.open(path)
    if not folder.arms() and folder.summary.is_file():
        return Side(name, _of_file(folder.summary), (f"{name} has no rows: its summary.json is believed",))
    series = Series(warmup_s_of(folder.read_run()))
    summary = summarise_run(folder, look=series.look if with_series else None)
    where = ""
    if folder.summary.is_file():
        try:
            where = _disagreement(summary, _of_file(folder.summary))
        except UsageError:
            where = "it cannot be read"
    text = f"{name}: summary.json disagrees with its rows ({where}); the rows count"
    return Side(name, summary, (text,) if where else (), series.arms)


def _of_file(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        whole = msgspec.json.decode(data)
        checked = msgspec.json.decode(data, type=_Summary)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if checked.schema != SCHEMA:
        raise UsageError(
            f"{path}: schema {checked.schema!r} is not known to this version, which reads {SCHEMA}"
        )
    wrong = next((name for name in checked.arms if not ARM_NAME.fullmatch(name)), None)
    if wrong is not None:
        raise UsageError(f"{path}: an arm cannot be called {wrong[:60]!r}")
    arms = msgspec.to_builtins(checked)["arms"]
    for name, arm in arms.items():
        # Of what is not checked only numbers are ever read.
        median = whole["arms"][name].get("median")
        arm["median"] = median if isinstance(median, dict) else of_repetitions(arm["repetitions"])
    return {**whole, "arms": arms}


def _disagreement(summary: dict[str, Any], said: dict[str, Any]) -> str:
    """The first figure of those that are compared in which the two differ."""
    if list(summary["arms"]) != list(said["arms"]):
        return "its arms"
    for arm, figures in summary["arms"].items():
        rows, theirs = figures["repetitions"], said["arms"][arm]["repetitions"]
        if len(rows) != len(theirs):
            return f"{arm}: {len(theirs)} repetitions, not {len(rows)}"
        for number, (ours, other) in enumerate(zip(rows, theirs, strict=True), 1):
            for measure in MEASURES:
                if _differ(measure.of(ours), measure.of(other)):
                    return f"{measure.name} of {arm}/{number:02d}"
    return ""


def _differ(ours: float | None, other: float | None) -> bool:
    if ours is None or other is None:
        return ours is not other
    return abs(ours - other) > CLOSE * max(1.0, abs(ours))


def _near(path: Path) -> str:
    """Run folders are called by their time, which nobody types without a mistake."""
    from loadtest.settings.nearest import nearest

    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return nearest(path.name, siblings)
