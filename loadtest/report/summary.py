"""Frames in, summary out: what ``summary.json`` says. Pure; unknown is None, never an invented zero."""

from typing import Any

import numpy as np
import pandas as pd

from loadtest.report import medians
from loadtest.report.lives import judge_kills, zombies
from loadtest.report.measured import Bools, Floats, Frames, Window
from loadtest.report.times import moved, statistics
from loadtest.report.validity import RULE, Generator, Rule, judge, stalled, stalls
from loadtest.results.rows import THROTTLED, UNFINISHED, latency
from loadtest.settings.plan import Settings

SCHEMA = 1  # of summary.json
MS = 1000.0
COUNTED = ("arrivals_count", "throttled_count", "unfinished_count", "cold_starts_count")  # over invocations

RATIOS = ("good_ratio", "error_ratio", "throughput_per_s")  # of all arrivals


def summarise_repetition(frames: Frames, settings: Settings, rule: Rule = RULE) -> dict[str, Any]:
    """One entry of ``repetitions``. Times in ms, latency from the due time less the emulated cold start."""
    window = frames.window(settings.warmup_s)
    rows = frames.invocations[window.holds(frames.invocations["due_s"])]
    answered = (rows["error"] == "").to_numpy(dtype=np.bool_)
    disturbed = stalled(rows, stalls(frames.lags, frames.generator, rule), rule)
    started = rows["started_s"].notna().to_numpy()
    times = _times(rows, answered, disturbed)
    generator = _generator(frames, window)
    generator["disturbed_ratio"] = _ratio(int(disturbed[started].sum()), int(started.sum()))
    lags_known = "lags" not in frames.unknown
    if not lags_known:
        generator["disturbed_ratio"] = None
    seen = Generator(
        cut_off=frames.cut_off,
        window_known=window.known,
        arrivals_count=len(rows),
        lags_known=lags_known,
        disturbed_ratio=generator["disturbed_ratio"],
        cpu_ratio=generator["cpu_ratio"],
        wrong_load=tuple(frames.wrong_load),
    )
    verdict = judge(times, seen, rule)
    figures = {
        "valid": verdict.valid,
        "reasons": verdict.reasons,
        **_outcomes(rows, answered, times["latency_ms"][0], settings.slo_ms, window),
        **{
            name: {**statistics(values), "disturbed": verdict.disturbed[name]}
            for name, (values, _) in times.items()
        },
        "cold_starts_count": int(rows["cold"].sum()),
        "containers_peak_count": _containers_peak(frames.generator),
        "connections": _connections(frames),
        **_lives(frames),
        "overhead_queries_per_invocation": _ratio(
            int(rows["overhead_queries_count"].to_numpy()[started].sum()), int(started.sum())
        ),
        "generator": generator,
        "integrity": _integrity(frames.meta),
        **_parts(rows, disturbed, settings, window, rule),
    }
    if frames.wrong_load:  # nobody knows what the whole of it would have met
        return _without(figures, (*COUNTED, *RATIOS))
    return _without(figures, COUNTED) if "invocations" in frames.unknown else figures


def _without(figures: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    parts = {
        name: {**part, **{n: None for n in names if n in part}}
        for name, part in figures.get("parts", {}).items()
    }
    return {**figures, **dict.fromkeys(names), **({"parts": parts} if parts else {})}


def _parts(
    rows: pd.DataFrame, disturbed: Bools, settings: Settings, window: Window, rule: Rule
) -> dict[str, Any]:
    """Of a mixed fleet what can be said of each function; nothing where there is only one."""
    names = sorted({str(name) for name in rows["part"].unique()})
    if len(names) < 2:
        return {}
    parts = {}
    for name in names:
        own = (rows["part"] == name).to_numpy(dtype=np.bool_)
        part = rows[own]
        answered = (part["error"] == "").to_numpy(dtype=np.bool_)
        times = _times(part, answered, disturbed[own])
        started = part["started_s"].notna().to_numpy()
        parts[name] = {
            **_outcomes(part, answered, times["latency_ms"][0], settings.slo_ms, window),
            **{
                measure: {**statistics(values), "disturbed": moved(values, hit, rule.moved_ratio)}
                for measure, (values, hit) in times.items()
            },
            "overhead_queries_per_invocation": _ratio(
                int(part["overhead_queries_count"].to_numpy()[started].sum()), int(started.sum())
            ),
        }
    return {"parts": parts}


def _times(rows: pd.DataFrame, answered: Bools, disturbed: Bools) -> dict[str, tuple[Floats, Bools]]:
    finished = rows["finished_s"].to_numpy(dtype=np.float64)[answered]
    started = rows["started_s"].to_numpy(dtype=np.float64)[answered]
    due = rows["due_s"].to_numpy(dtype=np.float64)[answered]
    cold = rows["cold_start_s"].to_numpy(dtype=np.float64)[answered]
    hit = disturbed[answered]
    times = {"latency_ms": latency(due, finished, cold) * MS, "duration_ms": (finished - started) * MS}
    return {name: _sorted(values, hit) for name, values in times.items()}


def _sorted(values: Floats, hit: Bools) -> tuple[Floats, Bools]:
    order = np.lexsort((hit, values))  # ties too, so that the order of rows changes nothing
    return values[order], hit[order]


def _outcomes(
    rows: pd.DataFrame, answered: Bools, latency_ms: Floats, slo_ms: float, window: Window
) -> dict[str, Any]:
    counts = rows["error"][~answered].value_counts()
    errors = {str(name): int(count) for name, count in counts.items() if count}
    good = int(np.searchsorted(latency_ms, slo_ms, side="right"))
    throughput = float(answered.sum()) / window.length_s
    return {
        "arrivals_count": len(rows),
        "good_ratio": _ratio(good, len(rows)),
        "error_ratio": _ratio(int((~answered).sum()), len(rows)),
        "errors": dict(sorted(errors.items(), key=lambda item: (-item[1], item[0]))),
        "throttled_count": errors.get(THROTTLED, 0),
        "unfinished_count": errors.get(UNFINISHED, 0),
        "throughput_per_s": _known(throughput) if len(rows) else None,
    }


def _connections(frames: Frames) -> dict[str, int | None]:
    opened = frames.connections["opened_s"].to_numpy(dtype=np.float64)
    within = ~(opened < frames.start_s) & ~(opened > frames.ended_s)  # an unknown bound excludes nothing
    unknown = "connections" in frames.unknown
    peak = frames.samples["connections_count"].max()
    return {
        "peak_count": None if np.isnan(peak) else int(peak),
        "opened_count": None if unknown else int(within.sum()),
        "refused_count": _growth(frames.samples),
        "expired_count": None if unknown else int((frames.connections["fate"] == "expired").sum()),
    }


def _growth(samples: pd.DataFrame) -> int | None:
    """Of the server's counter of refusals; None when it went back, as after a restart, or was seen once."""
    seen = samples.sort_values("at_s", kind="stable")["refused_count"].dropna().to_numpy(dtype=np.float64)
    if len(seen) < 2 or (np.diff(seen) < 0).any():
        return None
    return int(seen[-1] - seen[0])


def _lives(frames: Frames) -> dict[str, dict[str, Any]]:
    if "connections" in frames.unknown:
        return {
            "zombies": dict.fromkeys(("left_count", "peak_count", "reclaim_p50_s")),
            "kills": dict.fromkeys(("zombie_count", "idle_count", "busy_count")),
        }
    judged = judge_kills(frames.kills, frames.connections, frames.invocations)._asdict()
    del judged["unknown_count"]
    kills = dict.fromkeys(judged) if "kills" in frames.unknown else judged
    return {"zombies": zombies(frames.connections), "kills": kills}


def _containers_peak(generator: pd.DataFrame) -> int | None:
    """Most containers at once: the workers' counts of the same second, added."""
    if generator.empty:
        return None
    second = np.floor(generator["at_s"]).rename("second")
    by_worker = generator.groupby([second, "worker"])["containers_count"].max().unstack()
    # Two workers' clocks tick at different moments, so now and then a second has no row of one of them.
    return int(by_worker.ffill(limit=1).sum(axis=1).max())


def _generator(frames: Frames, window: Window) -> dict[str, float | None]:
    rows = frames.generator[window.holds_seconds_ending(frames.generator["at_s"])]
    if rows.empty:
        return dict.fromkeys(("lateness_p99_ms", "loop_lag_p99_ms", "cpu_ratio"))
    by_worker = rows.sort_values("at_s", kind="stable").groupby("worker")["cpu_ratio"].mean()
    return {
        "lateness_p99_ms": _p99(rows["lateness_p99_ms"]),
        "loop_lag_p99_ms": _p99(rows["loop_lag_max_ms"]),
        "cpu_ratio": float(by_worker.max()),
    }


def _p99(values: "pd.Series[float]") -> float | None:
    known = values.dropna()  # a second in which nothing was due has no lateness
    return None if known.empty else float(np.percentile(known, 99, method="linear"))


def _integrity(meta: dict[str, Any]) -> dict[str, int | None] | None:
    ledger = meta.get("ledger")
    if not isinstance(ledger, dict):
        return None
    counts = {name: ledger.get(name) for name in ("acknowledged_count", "lost_count", "doubled_count")}
    return {name: value if type(value) is int else None for name, value in counts.items()}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def summarise(run: dict[str, Any], arms: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The whole of ``summary.json`` from ``run.json`` and the repetitions of every arm."""
    server = run.get("server")
    return {
        "schema": SCHEMA,
        "scenario": run.get("settings"),
        "server": {
            **dict.fromkeys(("version", "max_connections", "path")),
            **(server if isinstance(server, dict) else {}),
        },
        "environment": run.get("environment"),
        "valid": bool(arms) and all(any(r["valid"] for r in repetitions) for repetitions in arms.values()),
        "warnings": list(run.get("warnings") or []),
        "arms": {
            arm: {"repetitions": repetitions, "median": medians.of_repetitions(repetitions)}
            for arm, repetitions in arms.items()
        },
    }
