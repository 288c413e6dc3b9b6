"""Whether a repetition adds up: its rows, the generator's own counts, and the server's counters. Pure.

Each of the three counts by itself: the rows as they were written, the generator as things happened
(``generator.csv``), the server in its status (``samples.csv``). docs/reconciliation.md has the measurements.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from loadtest.report.frames import Bools, Frames, column
from loadtest.report.wording import count
from loadtest.results.restarts import was_restarted
from loadtest.results.summary import Balance
from loadtest.ways import ONE_FOR_ONE

OLDER = "the version that made this run did not count them"
SHARED = "others may use this server"
# A sample that failed may have connected, and asked up to this much, without the monitor knowing.
FAILED_SAMPLE_STATEMENTS_COUNT = 7
WORDS = {
    "arrivals": ("arrivals", "accounted for"),
    "connections": ("connections opened", "accounted for"),
    "connects": ("connections opened", "by the server"),
    "refusals": ("connects refused", "by the server"),
    "aborted clients": ("connections ended without a goodbye", "by the server"),
    "statements": ("statements sent", "by the server"),
}


class Side(NamedTuple):
    """One side of a balance; ``value`` is None for the ``reason``."""

    value: int | None = None
    reason: str = ""


def reconcile(frames: Frames, *, is_shared: bool) -> list[Balance]:
    """The balances of a repetition, by the names in :data:`WORDS`.

    ``is_shared``: others may use the server, so that a difference from its counters says nothing.
    """
    generator = _Generator(frames)
    balances = [
        _balance("arrivals", generator.side("due_count"), _rows(frames, "invocations")),
        _balance("connections", generator.side("opened_count"), _rows(frames, "connections")),
        *_with_server(frames, generator),
    ]
    for one in balances[2:]:
        if is_shared and one.holds is False:
            one.holds, one.reason = None, SHARED
    return balances


def said(balance: Balance) -> str:
    """A ``balance`` that does not hold, in words: ``1,204 arrivals, 1,203 accounted for (1 missing)``."""
    things, counted = WORDS[balance.name]
    difference = balance.difference or 0
    way = "missing" if difference < 0 else "more"
    right = f"{count(balance.right)} {counted} ({count(abs(difference))} {way})"
    return f"{count(balance.left)} {things}, {right}"


def _balance(name: str, left: Side, right: Side, tolerance: int = 0) -> Balance:
    found = Balance(name=name, left=left.value, right=right.value, tolerance=tolerance)
    found.reason = left.reason or right.reason
    if left.value is not None and right.value is not None:
        found.difference = right.value - left.value
        found.holds = abs(found.difference) <= tolerance
    return found


class _Generator:
    """The generator's own counts at the end of the repetition, of all workers."""

    def __init__(self, frames: Frames) -> None:
        self._last = frames.generator.sort_values("at_s", kind="stable").groupby("worker").tail(1)
        self._why = _why_unfinished(frames, len(self._last))
        self.ended_s = float(frames.generator["at_s"].max())

    def side(self, *names: str) -> Side:
        """The sum of these columns."""
        if self._why:
            return Side(reason=self._why)
        values = self._last[list(names)].to_numpy(dtype=np.float64)
        if not np.isnan(values).any():
            return Side(int(values.sum()))
        is_older = self._last["due_count"].isna().all()
        return Side(reason=OLDER if is_older else "what its functions send cannot be read")


def _why_unfinished(frames: Frames, workers_count: int) -> str:
    if frames.cut_off:
        return "it was cut off before its end"
    if frames.wrong_load:  # a worker that was lost has not written its last counts
        return "its load was not what was asked for"
    if "generator" in frames.unknown:
        return "the generator's own figures are missing"
    expected = frames.meta.get("workers_count", 1)
    if not isinstance(expected, int):
        return "how many workers it had cannot be read"
    if workers_count < expected:
        return "the figures of a worker are missing"
    return ""


def _rows(frames: Frames, kind: str) -> Side:
    """How many rows say what became of what they are about."""
    if kind in frames.unknown:
        return Side(reason=f"its {kind} could not be read")
    if kind == "invocations":
        return Side(len(frames.invocations))  # its error says it, or "" that it was answered
    return Side(int(_have_ended(frames.connections).sum()))


def _have_ended(lives: pd.DataFrame) -> Bools:
    """Which connections have the times that their fate needs."""
    fate = lives["fate"].astype(object)
    closed, gone, reaped = (~np.isnan(column(lives, name)) for name in ("closed_s", "gone_s", "reaped_s"))
    ended: Bools = (
        (fate.isin(("closed", "lost")).to_numpy() & closed)
        | (fate.isin(("expired", "killed")).to_numpy() & gone)
        | ((fate == "zombie").to_numpy() & reaped & ~gone)
        | ((fate == "open").to_numpy() & ~closed & ~gone & ~reaped)
    )
    return ended


def _with_server(frames: Frames, generator: _Generator) -> list[Balance]:
    growth = _Growth(frames, generator.ended_s)
    opened = generator.side("opened_count")
    refused, quits = generator.side("refused_count"), generator.side("quits_count")
    # A connect that ended otherwise, say by a timeout, may be a login or a refusal to the server.
    unclear = _minus(_minus(generator.side("connects_count"), opened), refused)
    unclear_count, failed_count = unclear.value or 0, growth.failed_count
    connects = _balance(
        "connects", _known_if(refused, opened), growth.of("opened_count"), unclear_count + failed_count
    )
    logins_count = max(0, int(connects.difference or 0))  # of those that are unclear
    aborted = growth.of("aborted_clients_count", still=True)
    sent = generator.side("statements_count", "quits_count")
    # A statement whose answer was lost may not have reached the server.
    unanswered_count = int(frames.connections["fate"].isin(("lost", "killed")).sum())
    unseen_count = failed_count * FAILED_SAMPLE_STATEMENTS_COUNT
    return [
        connects,
        _balance(
            "refusals", refused, growth.of("refused_count"),
            max(0, unclear_count - logins_count) + failed_count,
        ),
        _balance("aborted clients", _minus(opened, quits), aborted, logins_count + failed_count),
        _balance("statements", sent, growth.of("questions_count"), unanswered_count + unseen_count),
    ]  # fmt: skip


def _minus(one: Side, other: Side) -> Side:
    if one.value is None or other.value is None:
        return Side(reason=one.reason or other.reason)
    return Side(one.value - other.value)


def _known_if(condition: Side, side: Side) -> Side:
    return side if condition.value is not None else condition


def is_shared_by(proxy: object) -> bool:
    """Whether ``proxy``, as a repetition's own file has it, may share the server's connections."""
    return isinstance(proxy, dict) and proxy.get("kind") != ONE_FOR_ONE


class _Growth:
    """How much the server's counters grew from before the load to after it."""

    def __init__(self, frames: Frames, ended_s: float) -> None:
        samples = frames.samples.sort_values("at_s", kind="stable")
        self._good = samples[(samples["error"] == "").to_numpy(dtype=np.bool_)]
        self.failed_count = len(samples) - len(self._good)
        self._why = ""
        at = column(self._good, "at_s")
        opened = column(frames.connections, "opened_s")
        began_s = min([frames.start_s, *opened[~np.isnan(opened)]])
        if len(at) < 2 or not at[0] < began_s or not at[-1] >= ended_s:
            self._why = "the monitor did not see the server before the load and after it"
        elif is_shared_by(frames.meta.get("proxy")):
            self._why = "a proxy is between functions and the server, with connections of its own"
        elif self._was_restarted():
            self._why = "the server was restarted, and its counters with it"
        elif frames.meta.get("faults"):
            self._why = "faults were carried out meanwhile, which the server counts, too"

    def _was_restarted(self) -> bool:
        uptimes_s = column(self._good, "uptime_s")
        if np.isnan(uptimes_s).any():  # of an older version: what only grows, if no connection ends
            return bool((np.diff(column(self._good, "questions_count")) < 0).any())
        looks = zip(column(self._good, "at_s"), uptimes_s, strict=True)
        return any(was_restarted(*one, *next_one) for one, next_one in pairwise(looks))

    def of(self, name: str, *, still: bool = False) -> Side:
        """Of one counter; ``still``: and of the connections that were there."""
        if self._why:
            return Side(reason=self._why)
        values = self._good[name].dropna().to_numpy(dtype=np.float64)
        if len(values) < len(self._good):
            return Side(reason=OLDER if not len(values) else "the server does not tell")
        there = column(self._good, "connections_count")
        return Side(int(values[-1] - values[0] + (there[-1] - there[0] if still else 0)))
