"""A run folder in, its summary out, always from the rows: the same folder gives the same bytes."""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

import msgspec
from msgspec import UNSET

from loadtest.errors import NothingMeasured, UsageError
from loadtest.report import fault_figures, medians
from loadtest.report.connections import judge_kills
from loadtest.report.costs import add_costs, bill_of
from loadtest.report.fault_spans import spans
from loadtest.report.figures import summarise_repetition
from loadtest.report.frame_reader import read_repetition
from loadtest.report.frames import Frames
from loadtest.report.reconciliation import reconcile, said
from loadtest.report.validity import RULE, Rule
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.results.summary import Arm, ArmFigures, FaultFigures, Integrity, Summary, asked_arms
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import arm_name
from loadtest.settings.tags import parts_of_tags, tags_in

NO_WRITES = (
    "a function of your own has to insert its event's id into loadtest_ledger (docs/functions.md), or choose "
    "another --workload"
)
Collect = Callable[[str, str, Frames, bool], None]  # arm, number of the repetition, rows, valid for times


def summarise_run(folder: RunFolder, rule: Rule = RULE, collect: Collect | None = None) -> Summary:
    """Reads all rows of a run and computes its figures.

    Args:
        folder: the run.
        rule: when stalls of the load generator make figures invalid.
        collect: called with each repetition's rows, for whatever else is made of them.

    Raises:
        NothingMeasured: the run has not a single arrival.
        UsageError: ``run.json`` does not say what was asked for.
    """
    run = folder.read_run()
    settings = _settings(folder, run)
    asked = asked_arms(run["settings"])
    repetitions: dict[str, list[ArmFigures]] = {}
    faults: dict[str, list[list[FaultFigures]]] = {}
    warnings = [str(text) for text in listed(run.get("warnings"))]
    measured = False
    server, bill = run.get("server"), bill_of(run)
    is_shared = isinstance(server, dict) and server.get("kind") == "given"
    for arm in _in_order(folder.arms(), asked):
        for repetition in folder.repetitions(arm):
            frames = read_repetition(repetition)
            measured = measured or not frames.invocations.empty
            tags = _tags(arm, run["settings"], frames.meta)
            figures = summarise_repetition(frames, settings, rule, tags)
            if bill is not None:
                add_costs(figures, frames, settings, bill, tags)
            figures.reconciliation = reconcile(frames, is_shared=is_shared)
            _drop_infinite(figures)
            repetitions.setdefault(arm, []).append(figures)
            if spans(frames) and not frames.wrong_load:
                faults.setdefault(arm, []).append(fault_figures.figures_of(frames, settings.slo_ms))
            warnings += _warnings(repetition, frames, figures)
            if collect is not None:
                collect(arm, repetition.number, frames, figures.valid)
    if not measured:
        raise NothingMeasured(f"{folder.path}: nothing was measured: it has not a single arrival")
    not_run = [f"{arm} was not run" for arm in asked if arm not in repetitions]
    warnings += [text for text in not_run if not any(said.startswith(f"{text}: ") for said in warnings)]
    return Summary(
        scenario=finite(run.get("settings")),
        server=finite(
            {
                **dict.fromkeys(("version", "max_connections", "path")),
                **(server if isinstance(server, dict) else {}),
            }
        ),
        environment=finite(run.get("environment")),
        valid=all(any(r.valid for r in found) for found in repetitions.values()),
        warnings=list(dict.fromkeys(warnings)),
        arms={arm: Arm(found, medians.of_repetitions(found)) for arm, found in repetitions.items()},
        faults={arm: fault_figures.of_repetitions(found) for arm, found in faults.items()} or UNSET,
    )


def warmup_s_of(run: dict[str, Any]) -> float:
    """The warm-up that ``run.json`` names, in seconds; 0 where it names none."""
    settings = run.get("settings")
    value = settings.get("warmup_s") if isinstance(settings, dict) else None
    return float(value) if isinstance(value, int | float) and isfinite(value) else 0.0


def _settings(folder: RunFolder, run: dict[str, Any]) -> Settings:
    """What the run was asked for; fields that a later version added are ignored."""
    values = run.get("settings")
    if not isinstance(values, dict):
        raise UsageError(f"{folder.run}: it has no settings, so the meaning of the figures is unknown")
    known = {name: value for name, value in values.items() if name in Settings.__struct_fields__}
    try:
        settings = msgspec.convert(known, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"{folder.run}: settings: {error}") from None
    if not (isfinite(settings.slo_ms) and isfinite(settings.warmup_s)):
        raise UsageError(f"{folder.run}: settings: slo_ms and warmup_s have to be finite")
    return settings


def _tags(arm: str, settings: dict[str, Any], meta: dict[str, Any]) -> dict[str, list[str]]:
    """The parts that have each tag; none where the files, which may hold anything, make no sense."""
    asked = [str(text) for text in listed(settings.get("strategies"))]
    functions = meta.get("functions")
    described = {
        str(name): one["tags"]
        for name, one in (functions.items() if isinstance(functions, dict) else ())
        if isinstance(one, dict) and isinstance(one.get("tags"), dict)
    }
    try:
        given = tags_in(map(str, listed(settings.get("tags"))), asked)
        strategy = next(text for text in asked if arm_name(text) == arm)
        return parts_of_tags(strategy, given, described)
    except (UsageError, StopIteration):
        return {}


def _in_order(arms: Iterable[str], asked: list[str]) -> list[str]:
    """As they were asked for; then any others, by name."""
    return sorted(arms, key=lambda arm: (asked.index(arm) if arm in asked else len(asked), arm))


def _warnings(repetition: Repetition, frames: Frames, figures: ArmFigures) -> list[str]:
    where = f"{repetition.arm}/{repetition.number}"
    texts = list(frames.warnings)
    if figures.reasons:
        for_what = "" if frames.wrong_load else " for times"
        texts.append(f"{where} is not valid{for_what}: {'; '.join(figures.reasons)}")
    differences = [said(one) for one in listed(figures.reconciliation) if one.holds is False]
    if differences:
        texts.append(f"{where} does not reconcile: {'; '.join(differences)}")
    _, unknown_count = judge_kills(frames.kills, frames.connections, frames.invocations)
    if unknown_count:
        texts.append(f"{where}: KILLs not counted, because no row shows what they hit: {unknown_count}")
    if figures.starts.count and figures.connections.opened_count == 0 and figures.good_ratio:
        texts.append(
            f"{where}: its functions answered, and none of them connected to this server: look where their "
            "settings point (MYSQL_HOST and MYSQL_PORT, or [environment] in function.toml)"
        )
    integrity = figures.integrity or Integrity()
    if integrity.lost_count or integrity.doubled_count:
        texts.append(
            f"{where}: of {integrity.acknowledged_count} acknowledged writes, "
            f"{integrity.lost_count} were lost and {integrity.doubled_count} doubled"
        )
        if integrity.lost_count == integrity.acknowledged_count:
            texts.append(f"{where}: not one of its writes is there: {NO_WRITES}")
    if integrity.unexpected_count:
        texts.append(f"{where}: writes that had failed for certain are there: {integrity.unexpected_count}")
    return texts


def listed(value: Any) -> list[Any]:
    """``value``, or an empty list where it is none."""
    return value if isinstance(value, list) else []


def _drop_infinite(figures: msgspec.Struct) -> None:
    """JSON has no infinity; sums over the huge numbers of a garbled file may reach it."""
    for name in figures.__struct_fields__:
        value = getattr(figures, name)
        for group in value.values() if isinstance(value, dict) else [value]:
            if isinstance(group, msgspec.Struct):
                _drop_infinite(group)
        if isinstance(value, float) and not isfinite(value):
            setattr(figures, name, None)


def finite(value: Any) -> Any:
    """``value`` with None for NaN, which JSON lacks: ``run.json`` may have been written by anyone."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
