"""The rows of a repetition in, its figures out. Pure; unknown is None, never an invented zero."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from msgspec import UNSET

from loadtest.report.connections import judge_kills, zombies
from loadtest.report.frames import Bools, Floats, Frames, Window, column, of_all_workers
from loadtest.report.pauses import pause_figures
from loadtest.report.queues import attempts_at, has_queue, queue_figures
from loadtest.report.times import moved, statistics
from loadtest.report.validity import RULE, GeneratorHealth, Rule, reasons_against, stalled, stalls
from loadtest.results.rows import THROTTLED, UNFINISHED, latency
from loadtest.results.summary import (
    ArmFigures,
    Connections,
    GeneratorLoad,
    Integrity,
    Kills,
    PartFigures,
    ProxyFigures,
    Starts,
    Zombies,
)
from loadtest.settings.plan import Settings

EMPTY: Mapping[str, Collection[str]] = MappingProxyType({})
MS = 1000.0


def summarise_repetition(
    frames: Frames, settings: Settings, rule: Rule = RULE, tags: Mapping[str, Collection[str]] = EMPTY
) -> ArmFigures:
    """One entry of ``repetitions`` in ``summary.json``.

    Args:
        frames: the rows of the repetition.
        settings: ``slo_ms`` says which answers are good, ``warmup_s`` where the window begins.
        rule: when stalls of the load generator make a figure invalid.
        tags: the names of the parts that have each tag.
    """
    window = frames.window(settings.warmup_s)
    rows = frames.invocations[window.holds(frames.invocations["due_s"])]
    disturbed = stalled(rows, stalls(frames.lags, frames.generator, rule), rule)
    started = rows["started_s"].notna().to_numpy()
    times = _times(rows, disturbed)
    generator = _generator(frames, window)
    lags_known = "lags" not in frames.unknown
    if lags_known:
        generator.disturbed_ratio = _ratio(int(disturbed[started].sum()), int(started.sum()))
    health = GeneratorHealth(
        cut_off=frames.cut_off,
        window_known=window.known,
        arrivals_count=len(rows),
        lags_known=lags_known,
        disturbed_ratio=generator.disturbed_ratio,
        cpu_ratio=generator.cpu_ratio,
        functions_cpu_ratio=generator.functions_cpu_ratio,
        wrong_load=tuple(frames.wrong_load),
        shortages_count=_shortages(frames.generator),
    )
    reasons = reasons_against(health, rule)
    figures = ArmFigures(
        valid=not reasons,
        reasons=reasons,
        cold_starts_count=int(rows["cold"].sum()),
        containers_peak_count=_containers_peak(frames.generator),
        connections=_connections(frames),
        zombies=Zombies() if "connections" in frames.unknown else zombies(frames.connections),
        kills=_kills(frames),
        generator=generator,
        integrity=_integrity(frames.meta),
    )
    if isinstance(frames.meta.get("proxy"), dict):
        figures.proxy = _proxy(frames.samples, frames.pins)
    if isinstance(frames.meta.get("pauses"), list):
        figures.pause = pause_figures(frames.meta["pauses"], frames.start_s, frames.deadline_s)
    if has_queue(frames):
        figures.queue = queue_figures(frames, rows)
        figures.cold_starts_count = int(attempts_at(frames, rows)["cold"].sum())
    _add_answers(figures, rows, times, rule, settings.slo_ms, window)
    names = sorted({str(name) for name in rows["part"].unique()})
    parts = {name: [name] for name in names} if len(names) > 1 else {}
    figures.parts = _by_parts(parts, rows, disturbed, settings, window, rule) or UNSET
    figures.tags = _by_parts(tags, rows, disturbed, settings, window, rule) or UNSET
    figures.starts = _starts(frames.starts, frames.invocations)
    for found, of in ((figures.by_part(), parts), (figures.by_tag(), tags)):
        for name, own in found.items():
            started_own = frames.starts["part"].isin(list(of[name]))
            own.starts = _starts(frames.starts[started_own], frames.invocations)
    for some in figures.with_parts():
        if frames.wrong_load or "invocations" in frames.unknown:
            _drop_counts(some)
        if frames.wrong_load:  # what the whole load would have met is unknown
            some.good_ratio = some.error_ratio = some.throughput_per_s = None
    return figures


def _drop_counts(figures: ArmFigures | PartFigures) -> None:
    figures.arrivals_count = figures.throttled_count = figures.unfinished_count = None
    if isinstance(figures, ArmFigures):
        figures.cold_starts_count = None


def _by_parts(
    of: Mapping[str, Collection[str]],
    rows: pd.DataFrame,
    disturbed: Bools,
    settings: Settings,
    window: Window,
    rule: Rule,
) -> dict[str, PartFigures]:
    """The figures of groups of functions, of each of which ``of`` has the names of its parts."""
    found = {}
    for name, parts in of.items():
        own = rows["part"].isin(list(parts)).to_numpy(dtype=np.bool_)
        found[name] = PartFigures()
        _add_answers(found[name], rows[own], _times(rows[own], disturbed[own]), rule, settings.slo_ms, window)
    return found


SortedTimes = Mapping[str, tuple[Floats, Bools]]  # by field: the sorted times in ms, and which are disturbed


def _times(rows: pd.DataFrame, disturbed: Bools) -> SortedTimes:
    answered = _answered(rows)
    finished = column(rows, "finished_s")[answered]
    started = column(rows, "started_s")[answered]
    due = column(rows, "due_s")[answered]
    cold = column(rows, "cold_start_s")[answered]
    hit = disturbed[answered]
    times = {"latency_ms": latency(due, finished, cold) * MS, "duration_ms": (finished - started) * MS}
    return {name: _sorted(values, hit) for name, values in times.items()}


def _answered(rows: pd.DataFrame) -> Bools:
    return (rows["error"] == "").to_numpy(dtype=np.bool_)


def _sorted(values: Floats, hit: Bools) -> tuple[Floats, Bools]:
    order = np.lexsort((hit, values))  # ties too, so that the order of rows changes nothing
    return values[order], hit[order]


def _add_answers(
    figures: ArmFigures | PartFigures,
    rows: pd.DataFrame,
    times: SortedTimes,
    rule: Rule,
    slo_ms: float,
    window: Window,
) -> None:
    """The figures that an arm and each of its parts have."""
    answered = _answered(rows)
    started = rows["started_s"].notna().to_numpy()
    errors = _counted(rows["error"][~answered])
    latency_ms, duration_ms = times["latency_ms"], times["duration_ms"]
    good_count = int(np.searchsorted(latency_ms[0], slo_ms, side="right"))
    throughput = float(answered.sum()) / window.length_s
    figures.arrivals_count = len(rows)
    figures.good_ratio = _ratio(good_count, len(rows))
    figures.error_ratio = _ratio(int((~answered).sum()), len(rows))
    figures.errors = errors
    figures.throttled_count = errors.get(THROTTLED, 0)
    figures.unfinished_count = errors.get(UNFINISHED, 0)
    figures.throughput_per_s = throughput if len(rows) and np.isfinite(throughput) else None
    figures.latency_ms, figures.duration_ms = statistics(latency_ms[0]), statistics(duration_ms[0])
    figures.latency_ms.disturbed = moved(*latency_ms, rule.moved_ratio)
    figures.duration_ms.disturbed = moved(*duration_ms, rule.moved_ratio)
    told = started & rows["manage_s"].notna().to_numpy()
    figures.overhead_queries_per_invocation = _ratio(
        int(rows["overhead_queries_count"].to_numpy()[told].sum()), int(told.sum())
    )


def _starts(starts: pd.DataFrame, invocations: pd.DataFrame) -> Starts:
    """Of real functions; those that were provisioned have started before the window."""
    if starts.empty:
        return Starts()
    firsts = invocations.sort_values("started_s", kind="stable").drop_duplicates("container")
    firsts = firsts[(firsts["error"] == "") & firsts["container"].isin(starts["container"])]
    first_ms = (column(firsts, "finished_s") - column(firsts, "started_s")) * MS
    init_ms = column(starts, "init_s") * MS
    return Starts(len(starts), *(_percentile(of, p) for of in (init_ms, first_ms) for p in (50, 99)))


def _percentile(values: Floats, percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None


def _connections(frames: Frames) -> Connections:
    opened = column(frames.connections, "opened_s")
    within = ~(opened < frames.start_s) & ~(opened > frames.ended_s)  # an unknown bound excludes nothing
    unknown = "connections" in frames.unknown
    peak = frames.samples["connections_count"].max()
    return Connections(
        peak_count=None if np.isnan(peak) else int(peak),
        opened_count=None if unknown else int(within.sum()),
        refused_count=_growth(frames.samples),
        expired_count=None if unknown else int((frames.connections["fate"] == "expired").sum()),
    )


def _proxy(samples: pd.DataFrame, pins: pd.DataFrame) -> ProxyFigures:
    def peak(name: str) -> int | None:
        found = samples[name].max()
        return None if np.isnan(found) else int(found)

    return ProxyFigures(
        peak("clients_count"), peak("waiting_count"), peak("pinned_count"), _counted(pins["cause"])
    )


def _counted(names: "pd.Series[str]") -> dict[str, int | float]:
    """How often each name occurs, the most frequent first."""
    counts = {str(name): int(count) for name, count in names.value_counts().items() if count}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _growth(samples: pd.DataFrame) -> int | None:
    """Of the server's counter of refusals; None if it fell, as after a restart, or was read only once."""
    seen = samples.sort_values("at_s", kind="stable")["refused_count"].dropna().to_numpy(dtype=np.float64)
    if len(seen) < 2 or (np.diff(seen) < 0).any():
        return None
    return int(seen[-1] - seen[0])


def _kills(frames: Frames) -> Kills:
    if {"connections", "kills"} & frames.unknown:
        return Kills()
    return judge_kills(frames.kills, frames.connections, frames.invocations)[0]


def _containers_peak(generator: pd.DataFrame) -> int | None:
    """The most containers at once."""
    return None if generator.empty else int(of_all_workers(generator, "containers_count").max())


def _generator(frames: Frames, window: Window) -> GeneratorLoad:
    rows = frames.generator[window.holds_seconds_ending(frames.generator["at_s"])]
    if rows.empty:
        return GeneratorLoad()
    by_worker = rows.sort_values("at_s", kind="stable").groupby("worker")["cpu_ratio"].mean()
    return GeneratorLoad(
        lateness_p99_ms=_p99(rows["lateness_p99_ms"]),
        loop_lag_p99_ms=_p99(rows["loop_lag_max_ms"]),
        cpu_ratio=float(by_worker.max()),
        functions_cpu_ratio=_functions_cpu(rows),
    )


def _shortages(rows: pd.DataFrame) -> int:
    by_worker = rows.dropna(subset="shortages_count").groupby("worker")["shortages_count"].max()
    return int(by_worker.sum())


def _functions_cpu(rows: pd.DataFrame) -> float | None:
    known = rows.dropna(subset="functions_cpu_ratio")
    return float(known.groupby("worker")["functions_cpu_ratio"].mean().sum()) if len(known) else None


def _p99(values: "pd.Series[float]") -> float | None:
    known = values.dropna()  # a second in which no arrival was due has no lateness
    return None if known.empty else float(np.percentile(known, 99, method="linear"))


def _integrity(meta: Mapping[str, Any]) -> Integrity | None:
    ledger = meta.get("ledger")
    if not isinstance(ledger, dict):
        return None
    counts = {name: ledger.get(name) for name in Integrity.__struct_fields__}
    return Integrity(**{name: value if type(value) is int else None for name, value in counts.items()})


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
