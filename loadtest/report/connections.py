"""What became of the connections: how many turned into zombies, and what each KILL hit. Pure."""

import numpy as np
import pandas as pd

from loadtest.report.frames import Bools, Floats, column
from loadtest.results.summary import Kills, Zombies

KILL_RACE_S = 1.0  # the victim may have closed its connection while the KILL was on its way


def zombies(connections: pd.DataFrame) -> Zombies:
    """How many zombies there were, and how long the server kept them.

    A zombie is a connection whose container was reaped without closing it, while the server still had it.
    ``reclaim_p50_s`` is the median time from the reap until the server dropped the connection, over those
    that it dropped. It is None when there were no zombies, and when fewer than half were dropped: the others
    outlived the repetition, so the median is unknown.

    Args:
        connections: rows of :class:`loadtest.results.rows.ConnectionLife`.
    """
    reaped, gone = column(connections, "reaped_s"), column(connections, "gone_s")
    left = ~np.isnan(reaped) & ~(gone < reaped)
    reaped, gone = reaped[left], gone[left]
    seen_gone = ~np.isnan(gone)
    waits = np.sort((gone - reaped)[seen_gone])
    known = len(waits) > 0 and 2 * len(waits) >= len(reaped)
    return Zombies(
        left_count=len(reaped),
        peak_count=alive_at_once(reaped, gone),
        reclaim_p50_s=float(np.median(waits)) if known else None,
    )


def alive_at_once(begins: Floats, ends: Floats) -> int:
    """The largest number of intervals [begin, end) that overlap. An end of NaN means that there is none.

    ``begins`` and ``ends`` are times in one unit, an entry for each interval.
    """
    real = ~(ends <= begins)
    begins, ends = begins[real], ends[real]
    ends = ends[~np.isnan(ends)]
    times = np.concatenate([ends, begins])
    steps = np.concatenate([np.full(len(ends), -1), np.full(len(begins), 1)])
    # Stable, ends first: an interval that ends at a moment no longer counts at that moment.
    alive = np.cumsum(steps[np.argsort(times, kind="stable")])
    return int(alive.max(initial=0))


def judge_kills(
    kills: pd.DataFrame, connections: pd.DataFrame, invocations: pd.DataFrame
) -> tuple[Kills, int]:
    """The KILLs that the server carried out, by the victim's state; and how many had an unknown victim.

    The victim is the connection, of any worker, that had this ``server_id`` at that moment: the last one
    opened before, because a container has several in turn and the server's ids may wrap around.

    Args:
        kills: rows of :class:`loadtest.results.rows.Kill`.
        connections: rows of :class:`loadtest.results.rows.ConnectionLife`.
        invocations: rows of :class:`loadtest.results.rows.Invocation`.
    """
    done = kills.loc[(kills["error"] == "").to_numpy(dtype=np.bool_), ["server_id", "at_s"]]
    if done.empty:
        return Kills(0, 0, 0), 0
    columns = ["server_id", "worker", "container", "opened_s", "closed_s", "reaped_s", "gone_s"]
    victims = _latest_before(done, connections[columns], "server_id", "opened_s")
    at = column(victims, "at_s")
    found = ~np.isnan(column(victims, "opened_s"))
    # Otherwise the server had given the id to a connection that was not recorded.
    for end in ("closed_s", "gone_s"):
        found &= ~(column(victims, end) < at - KILL_RACE_S)
    # A connection of the shared pool of `ideal` has no container, so its state is unknown.
    found &= ~(column(victims, "container") < 0)
    zombie = column(victims, "reaped_s") <= at
    busy = found.copy()
    busy[found] = _running(victims[found], invocations)
    judged = Kills(
        zombie_count=int((found & zombie & ~busy).sum()),
        idle_count=int((found & ~zombie & ~busy).sum()),
        busy_count=int(busy.sum()),
    )
    return judged, int((~found).sum())


def _running(victims: pd.DataFrame, invocations: pd.DataFrame) -> Bools:
    """Whether the victim's container was serving an invocation at ``at_s``; it serves one at a time."""
    rows = invocations.loc[
        invocations["started_s"].notna() & invocations["container"].isin(victims["container"].unique()),
        ["worker", "container", "started_s", "finished_s"],
    ]
    asked = victims[["worker", "container", "at_s"]].astype({"worker": "int64", "container": "int64"})
    last = _latest_before(asked, rows, ["worker", "container"], "started_s")
    began, ended, at = column(last, "started_s"), column(last, "finished_s"), column(last, "at_s")
    running: Bools = ~np.isnan(began) & ~(ended <= at)
    return running


def _latest_before(asked: pd.DataFrame, rows: pd.DataFrame, by: str | list[str], on: str) -> pd.DataFrame:
    """For each row of ``asked``, in order, the last of ``rows`` whose ``on`` is at most ``at_s``."""
    left = asked.reset_index(drop=True).reset_index(names="order").sort_values("at_s", kind="stable")
    right = rows.sort_values(on, kind="stable")
    merged = pd.merge_asof(left, right, left_on="at_s", right_on=on, by=by)
    return merged.sort_values("order").reset_index(drop=True)
