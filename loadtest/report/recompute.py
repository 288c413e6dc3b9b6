"""A run folder in, its summary out, always from the rows: the same folder gives the same bytes."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from loadtest.errors import NothingMeasured, UsageError
from loadtest.report.frames import read_repetition
from loadtest.report.lives import judge_kills
from loadtest.report.measured import Frames
from loadtest.report.summary import summarise, summarise_repetition
from loadtest.report.validity import RULE, Rule
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import STRATEGIES

Look = Callable[[str, str, Frames, bool], None]


def summarise_run(folder: RunFolder, rule: Rule = RULE, look: Look | None = None) -> dict[str, Any]:
    """Reads everything; ``look`` sees each repetition's arm, number, frames and validity.

    Raises :class:`NothingMeasured` without a single arrival, :class:`UsageError` where ``run.json`` does
    not say what was asked for.
    """
    run = folder.read_run()
    settings = _settings(folder, run)
    arms: dict[str, list[dict[str, Any]]] = {}
    warnings = [str(text) for text in _list(run.get("warnings"))]
    measured = False
    for arm in _in_order(folder.arms(), run["settings"]):
        for repetition in folder.repetitions(arm):
            frames = read_repetition(repetition)
            measured = measured or not frames.invocations.empty
            figures = summarise_repetition(frames, settings, rule)
            arms.setdefault(arm, []).append(figures)
            warnings += _warnings(repetition, frames, figures)
            if look is not None:
                look(arm, repetition.number, frames, figures["valid"])
    if not measured:
        raise NothingMeasured(f"{folder.path}: nothing was measured: it holds not a single arrival")
    warnings += [f"{arm} was not run" for arm in _missing(arms, run["settings"])]
    summary = summarise({**run, "warnings": list(dict.fromkeys(warnings))}, arms)
    return _finite(summary)  # type: ignore[no-any-return]


def warmup_s_of(run: dict[str, Any]) -> float:
    """Of what ``run.json`` says; 0 where it says nothing that can be."""
    settings = run.get("settings")
    value = settings.get("warmup_s") if isinstance(settings, dict) else None
    return float(value) if isinstance(value, int | float) and isfinite(value) else 0.0


def _settings(folder: RunFolder, run: dict[str, Any]) -> Settings:
    """Of what a run was asked for, whatever fields a later version may have added to it."""
    values = run.get("settings")
    if not isinstance(values, dict):
        raise UsageError(f"{folder.run}: it has no settings, so nothing says what the figures mean")
    run_wide = {name: value for name, value in values.items() if name in Settings.__struct_fields__}
    try:
        settings = msgspec.convert(run_wide, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"{folder.run}: settings: {error}") from None
    if not (isfinite(settings.slo_ms) and isfinite(settings.warmup_s)):
        raise UsageError(f"{folder.run}: settings: slo_ms and warmup_s have to be finite")
    return settings


def _in_order(arms: list[str], settings: dict[str, Any]) -> list[str]:
    """As they were asked for; others follow by name."""
    asked = [str(name).split("=")[0] for name in _list(settings.get("strategies"))]
    return sorted(arms, key=lambda arm: (asked.index(arm) if arm in asked else len(asked), arm))


def _missing(arms: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    return [name for name in _list(settings.get("strategies")) if name in STRATEGIES and name not in arms]


def _warnings(repetition: Repetition, frames: Frames, figures: dict[str, Any]) -> list[str]:
    where = f"{repetition.arm}/{repetition.number}"
    texts = list(frames.warnings)
    if figures["reasons"]:
        of = "" if frames.wrong_load else " for times"
        texts.append(f"{where} is not valid{of}: {'; '.join(figures['reasons'])}")
    unknown = judge_kills(frames.kills, frames.connections, frames.invocations).unknown_count
    if unknown:
        texts.append(f"{where}: KILLs counted nowhere, since no row tells of their victim: {unknown}")
    integrity = figures["integrity"] or {}
    if integrity.get("lost_count") or integrity.get("doubled_count"):
        texts.append(
            f"{where}: of {integrity['acknowledged_count']} acknowledged writes "
            f"{integrity['lost_count']} are lost and {integrity['doubled_count']} doubled"
        )
    return texts


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _finite(value: Any) -> Any:
    """JSON has no NaN; ``run.json`` is passed through and may have been written by anybody."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
