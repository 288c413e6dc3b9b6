"""What a repetition's load costs: its functions' billed duration, its database, its proxy. Pure.

A function is billed from the start of its code to its answer, its init phase included, rounded up to a
millisecond, by its memory size. Sources: AWS Lambda, "Pricing"; AWS, "AWS Lambda standardizes billing for
INIT phase" (since August 2025). Provisioned concurrency and Managed Instances have prices of their own: what
is started before the load is left out, and functions with several processes to an environment have no cost.
"""

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from loadtest.report.frames import Bools, Floats, Frames, Window, column
from loadtest.report.queues import attempts_at
from loadtest.results.summary import ArmFigures, Cost
from loadtest.settings.plan import MEMORY_MB, Settings
from loadtest.settings.prices import HOURS_OF_MONTH, Prices
from loadtest.settings.profiles import PROFILES

MS = 1000.0
MB_OF_GB = 1024.0
MILLION = 1e6
SECONDS_OF_MONTH = HOURS_OF_MONTH * 3600.0
NOISE_MS = 1e-6  # of a difference of two clock readings: no millisecond is begun by it


class Bill(NamedTuple):
    """``profile`` is the database's, "" for one without a price."""

    prices: Prices
    profile: str


def bill_of(run: Mapping[str, Any]) -> Bill | None:
    """By what a run is charged; None where ``run.json``, which may hold anything, has no prices."""
    try:
        prices = msgspec.convert(run.get("prices"), Prices)
    except msgspec.ValidationError:
        return None
    settings = run.get("settings")
    profile = settings.get("profile") if isinstance(settings, dict) else None
    return Bill(prices, profile if isinstance(profile, str) and profile in PROFILES else "")


def add_costs(
    figures: ArmFigures,
    frames: Frames,
    settings: Settings,
    bill: Bill,
    tags: Mapping[str, Collection[str]],
) -> None:
    """Sets ``cost`` of a repetition's ``figures``, and of its parts and tags.

    Args:
        figures: everything else is there already.
        frames: the rows of the repetition.
        settings: of the run.
        bill: what things cost.
        tags: the names of the parts that have each tag.
    """
    window = frames.window(settings.warmup_s)
    rows = frames.invocations[window.holds(frames.invocations["due_s"])]
    is_told = settings.processes_per_environment == 1 and "invocations" not in frames.unknown

    def functions(of: Bools) -> Cost:
        return _functions(billed[of], memory_mb[of], bill.prices, window) if is_told else Cost()

    if not frames.attempts.empty:  # of the events of these arrivals; a batch is billed once
        tried = attempts_at(frames, rows).sort_values("cold", ascending=False, kind="stable")
        rows = tried.drop_duplicates(["worker", "invocation"])  # by the row that says that it was cold
    billed = _billed_ms(rows, frames.starts)
    memory_mb = _memory_mb(rows, frames.meta, settings)
    part = rows["part"]
    figures.cost = functions(np.ones(len(rows), dtype=np.bool_))
    for name, own in figures.by_part().items():
        own.cost = functions((part == name).to_numpy(dtype=np.bool_))
    for name, own in figures.by_tag().items():
        own.cost = functions(part.isin(list(tags[name])).to_numpy(dtype=np.bool_))
    _add_database(figures, frames, window, bill)


def _billed_ms(rows: pd.DataFrame, starts: pd.DataFrame) -> Floats:
    """Whole milliseconds of each invocation; NaN where no function ran, nor began to come up."""
    ran_s = column(rows, "finished_s") - column(rows, "started_s")
    cold = rows["cold"].to_numpy(dtype=np.bool_)
    # What a real function connects in its init phase counts as latency elsewhere, and is billed here.
    connected = starts.drop_duplicates("container").set_index("container")["connect_s"]
    connected_s = rows["container"].map(connected).to_numpy(dtype=np.float64)
    init_s = np.where(cold, column(rows, "cold_start_s") + np.nan_to_num(connected_s), 0.0)
    whole_ms = (np.nan_to_num(ran_s) + init_s) * MS
    return np.where(cold | np.isfinite(ran_s), np.ceil(whole_ms - NOISE_MS), np.nan)


def _memory_mb(rows: pd.DataFrame, meta: Mapping[str, Any], settings: Settings) -> Floats:
    """The memory size of each invocation's function."""
    told = meta.get("functions")
    sizes = {
        str(name): float(one["memory_mb"])
        for name, one in (told.items() if isinstance(told, dict) else ())
        if isinstance(one, dict) and isinstance(one.get("memory_mb"), int) and one["memory_mb"] >= MEMORY_MB
    }
    found = rows["part"].map(sizes).to_numpy(dtype=np.float64)
    return np.where(np.isnan(found), settings.memory_mb, found)


def _functions(billed_ms: Floats, memory_mb: Floats, prices: Prices, window: Window) -> Cost:
    ran = np.isfinite(billed_ms)
    count = int(ran.sum())
    if not count:
        return Cost()
    gb_s = float((billed_ms[ran] * memory_mb[ran]).sum()) / MS / MB_OF_GB
    million_usd = prices.functions.million_requests + gb_s / count * MILLION * prices.functions.gb_second
    month_usd = million_usd / MILLION * count / window.length_s * SECONDS_OF_MONTH
    return Cost(
        billed_ms=float(billed_ms[ran].mean()),
        million_usd=million_usd,
        functions_month_usd=month_usd if isfinite(month_usd) else None,
    )


def _add_database(figures: ArmFigures, frames: Frames, window: Window, bill: Bill) -> None:
    cost = figures.cost
    month_usd = bill.prices.database_month_usd(bill.profile)
    if month_usd is None:
        return
    paused = getattr(figures.pause, "paused_ratio", None) or 0.0
    cost.database_month_usd = month_usd * (1 - paused)
    zombies_count, size = _mean_zombies(frames, window), float(frames.samples["max_connections"].max())
    if zombies_count is not None and size > 0:
        cost.zombies_month_usd = cost.database_month_usd * min(1.0, zombies_count / size)
    is_through = isinstance(frames.meta.get("proxy"), dict)
    cost.proxy_month_usd = bill.prices.proxy_month_usd(bill.profile) if is_through else 0.0
    known = (cost.functions_month_usd, cost.database_month_usd, cost.proxy_month_usd)
    cost.month_usd = None if None in known else sum(value for value in known if value is not None)


def _mean_zombies(frames: Frames, window: Window) -> float | None:
    """How many zombies there were on average; None where it cannot be told."""
    if "connections" in frames.unknown or not isfinite(window.length_s):
        return None
    from_s, until_s = window.from_s, window.from_s + window.length_s
    left_s, gone_s = column(frames.connections, "reaped_s"), column(frames.connections, "gone_s")
    gone_s = np.where(np.isnan(gone_s), until_s, gone_s)
    alive_s = np.clip(np.minimum(gone_s, until_s) - np.maximum(left_s, from_s), 0.0, None)
    return float(np.nansum(alive_s)) / window.length_s
