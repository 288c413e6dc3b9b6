"""What became of the connections: zombies over time, and whom each KILL hit. Pure."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from loadtest.report.measured import Bools, Floats

KILL_RACE_S = 1.0  # a victim may have let go of its connection while the KILL was on its way


def _seconds(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64)


def zombies(connections: pd.DataFrame) -> dict[str, int | float | None]:
    """``left_count``, ``peak_count`` (alive at once) and ``reclaim_p50_s`` (seconds until the server let go).

    A zombie is a connection whose container went without closing it, while the server still had it.
    The median time to reclaim is over those that are gone. It is None when none was left, and also when
    fewer than half are gone: the others took longer than anybody looked, so the median is not known.
    """
    reaped, gone = _seconds(connections, "reaped_s"), _seconds(connections, "gone_s")
    left = ~np.isnan(reaped) & ~(gone < reaped)
    reaped, gone = reaped[left], gone[left]
    seen_gone = ~np.isnan(gone)
    waits = np.sort((gone - reaped)[seen_gone])
    known = len(waits) > 0 and 2 * len(waits) >= len(reaped)
    return {
        "left_count": len(reaped),
        "peak_count": alive_at_once(reaped, gone),
        "reclaim_p50_s": float(np.median(waits)) if known else None,
    }


def alive_at_once(begins: Floats, ends: Floats) -> int:
    """The most intervals [begin, end) that hold one moment; a NaN end is never."""
    real = ~(ends <= begins)
    begins, ends = begins[real], ends[real]
    ends = ends[~np.isnan(ends)]
    times = np.concatenate([ends, begins])
    steps = np.concatenate([np.full(len(ends), -1), np.full(len(begins), 1)])
    # Stable, ends first: at a moment shared by both the one that ends is not alive any more.
    alive = np.cumsum(steps[np.argsort(times, kind="stable")])
    return int(alive.max(initial=0))


class Kills(NamedTuple):
    """How many KILLs hit whom. ``unknown_count``: victims that no row tells about."""

    zombie_count: int
    idle_count: int
    busy_count: int
    unknown_count: int


def judge_kills(kills: pd.DataFrame, connections: pd.DataFrame, invocations: pd.DataFrame) -> Kills:
    """Each KILL that the server carried out, judged by its victim's state at that moment.

    The victim is the connection that had this ``server_id`` then, in whatever worker: the latest that
    was opened before, because a container has several one after another and the ids may wrap around.
    """
    done = kills.loc[(kills["error"] == "").to_numpy(dtype=np.bool_), ["server_id", "at_s"]]
    if done.empty:
        return Kills(0, 0, 0, 0)
    columns = ["server_id", "worker", "container", "opened_s", "closed_s", "reaped_s", "gone_s"]
    victims = _latest_before(done, connections[columns], "server_id", "opened_s")
    at = _seconds(victims, "at_s")
    found = ~np.isnan(_seconds(victims, "opened_s"))
    # Otherwise the server has given the id to a connection that nobody recorded.
    for end in ("closed_s", "gone_s"):
        found &= ~(_seconds(victims, end) < at - KILL_RACE_S)
    # A connection of the shared pool of `ideal` belongs to no container, so nobody knows whom it served.
    found &= ~(_seconds(victims, "container") < 0)
    zombie = _seconds(victims, "reaped_s") <= at
    busy = found.copy()
    busy[found] = _running(victims[found], invocations)
    return Kills(
        zombie_count=int((found & zombie & ~busy).sum()),
        idle_count=int((found & ~zombie & ~busy).sum()),
        busy_count=int(busy.sum()),
        unknown_count=int((~found).sum()),
    )


def _running(victims: pd.DataFrame, invocations: pd.DataFrame) -> Bools:
    """Whether the victim's container was serving at ``at_s``; it serves one invocation at a time."""
    rows = invocations.loc[
        invocations["started_s"].notna() & invocations["container"].isin(victims["container"].unique()),
        ["worker", "container", "started_s", "finished_s"],
    ]
    asked = victims[["worker", "container", "at_s"]].astype({"worker": "int64", "container": "int64"})
    last = _latest_before(asked, rows, ["worker", "container"], "started_s")
    began, ended, at = _seconds(last, "started_s"), _seconds(last, "finished_s"), _seconds(last, "at_s")
    running: Bools = ~np.isnan(began) & ~(ended <= at)
    return running


def _latest_before(asked: pd.DataFrame, rows: pd.DataFrame, by: str | list[str], on: str) -> pd.DataFrame:
    """To each row of ``asked``, in its order, the last one of ``rows`` with ``on`` <= ``at_s``."""
    left = asked.reset_index(drop=True).reset_index(names="order").sort_values("at_s", kind="stable")
    right = rows.sort_values(on, kind="stable")
    merged = pd.merge_asof(left, right, left_on="at_s", right_on=on, by=by)
    return merged.sort_values("order").reset_index(drop=True)
