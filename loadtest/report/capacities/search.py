"""Where a load stops to hold its objective: which trial comes next, and what the trials say. Pure.

The search works on *hardness*: a number that makes the objective harder to hold as it grows, such as the
arrival rate. It rises by a factor until a trial breaks, then bisects, and tries both sides of the edge again,
since one trial near it may go either way. Then it looks for a load that holds beyond the edge, for one that
breaks before it as far as a dozen trials go, and whether the load that it found holds again after an
overload.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from math import ceil, log, log1p, log2, sqrt
from typing import NamedTuple

FACTOR = 4.0  # of the rise
BEYOND = 1.5  # times the edge: nearer by, a trial says nothing of another range that holds
WIDE = 2.0  # between two loads that hold, one is tried if there are trials left
STEP_BACK = 0.6  # from a load that does not hold again after an overload
MOST = 12  # trials of an arm that tell, unless it does not recover: what is told by then is told
DIGITS_COUNT = 4  # of what is tried
MORE = 6  # of which some could not tell
TRIES_COUNT = 3  # of a load of which the trials cannot tell
SURE = 2  # more trials of one kind than of the other decide, and so does the third of three


class Verdict(StrEnum):
    HELD = "held"
    BROKEN = "broken"
    UNTOLD = "untold"  # it cannot be told, since the load generator was the limit


class Kind(StrEnum):
    RISE = "rise"
    BISECT = "bisect"
    CONFIRM = "confirm"
    BEYOND = "beyond"
    BETWEEN = "between"
    RECOVERY = "recovery"


class Trial(NamedTuple):
    """One repetition at a hardness."""

    hardness: float
    kind: Kind
    verdict: Verdict


class Range(NamedTuple):
    """Where to look; ``precision`` is how far apart what holds and what breaks may be: 0.05 is 5%.

    ``whole``: what is tried is this divided by the hardness, and has to be a whole number; 0: it may be any.
    ``has_overload``: whether what is tried can be doubled for a while; ``is_whole``: what is tried is the
    hardness, and has to be a whole number.
    """

    low: float
    high: float
    precision: float
    whole: float = 0.0
    has_overload: bool = True
    is_whole: bool = False


class Edge(NamedTuple):
    """What the trials say: the hardest load that holds, and the easiest above it that does not.

    ``held`` is None if none holds, ``broken`` None if none breaks. ``is_told``: ``broken`` was broken by the
    server, and not by a load generator that could not do more. ``recovers`` is None while unknown;
    ``again`` is a harder load that holds although an easier one does not. ``interval`` has the edge in it: up
    to a step above its lower end all trials held, and from a step below its upper end all broke. Where no
    trial held or none broke, that end is None. How often it has the true edge in it where trials near the
    edge go either way: tests/report/test_capacity.py simulates that.
    """

    held: float | None
    broken: float | None
    is_told: bool
    recovers: bool | None
    again: float | None
    interval: tuple[float | None, float | None]


def next_trial(trials: Sequence[Trial], within: Range) -> tuple[float, Kind] | None:
    """The hardness and kind of the next trial; None when the search is over.

    Args:
        trials: all so far, in order.
        within: where to look.
    """
    votes = _votes(trials)
    told_count, most = sum(held + broken for held, broken, _ in votes.values()), _most(within)
    if told_count >= most - 1 or sum(map(sum, votes.values())) >= most + MORE:
        return _recovery(trials, _edge(votes), within)
    for hardness, (held, broken, untold) in votes.items():
        if held == broken and (held or untold < TRIES_COUNT):
            return hardness, Kind.CONFIRM
    limits, lasting = _limits(votes), _held(votes)
    edge = _edge(votes)
    if not limits:
        if not votes:
            return within.low, Kind.RISE
        highest = max(votes)
        if highest < within.high:
            return min(within.high, highest * FACTOR), Kind.RISE
        return _confirmation(highest, votes) or _gap(votes, within) or _recovery(trials, edge, within)
    low, high = edge.held, min(limits)
    if low is None:
        return _confirmation(high, votes) or (_island(votes, lasting, within) if edge.is_told else None)
    middle = _middle(low, high, within)
    if middle is not None:
        return middle, Kind.BISECT
    return (
        _confirmation(low, votes)
        or _confirmation(high, votes)
        or _beyond(votes, high, within)
        or _gap(votes, within)
        or _recovery(trials, edge, within)
    )


def edge_of(trials: Sequence[Trial], precision: float) -> Edge:
    """What ``trials`` say so far; ``precision`` as :class:`Range` has it."""
    found = _edge(_votes(trials), 1 + precision)
    recoveries = [one for one in trials if one.kind is Kind.RECOVERY]
    lasting = [one.hardness for one in recoveries if one.verdict is Verdict.HELD]
    failing = [one.hardness for one in recoveries if one.verdict is Verdict.BROKEN]
    if not failing:
        return found._replace(recovers=True if lasting else None)
    held, broken = max(lasting, default=None), min(failing)
    is_told = bool(lasting) or recoveries[-1].verdict is Verdict.BROKEN
    return found._replace(
        held=held, broken=broken, is_told=is_told, recovers=bool(lasting), interval=(held, broken)
    )


Votes = dict[float, list[int]]  # by hardness: how many held, broke, and could not be told


def _votes(trials: Sequence[Trial]) -> Votes:
    found: Votes = {}
    order = list(Verdict)
    for one in trials:
        if one.kind is not Kind.RECOVERY:
            found.setdefault(one.hardness, [0, 0, 0])[order.index(one.verdict)] += 1
    return found


def _held(votes: Votes) -> list[float]:
    return [hardness for hardness, (held, broken, _) in votes.items() if held > broken]


def _limits(votes: Votes) -> list[float]:
    """Where it breaks, or cannot be told."""
    return [hardness for hardness, (held, broken, _) in votes.items() if held <= broken]


def _edge(votes: Votes, step: float = 1.0) -> Edge:
    high = min(_limits(votes), default=None)
    lasting = [hardness for hardness in _held(votes) if high is None or hardness < high]
    again = min((h for h in _held(votes) if high is not None and h > high), default=None)
    is_told = high is not None and votes[high][1] > 0
    easiest = min((h for h, (_, broken, untold) in votes.items() if broken or untold), default=None)
    sure = max(
        (h for h, (held, _, _) in votes.items() if held and (easiest is None or h < easiest)), default=None
    )
    # A load that holds again beyond the edge says nothing of the edge.
    hardest = max(
        (h for h, (held, _, _) in votes.items() if held and (again is None or h < again)), default=0.0
    )
    limit = min((h for h, (_, broken, _) in votes.items() if broken and h > hardest), default=None)
    interval = sure and sure / step, limit and limit * step
    return Edge(max(lasting, default=None), high, is_told, None, again, interval)


def _middle(low: float, high: float, within: Range) -> float | None:
    if high / low <= 1 + within.precision:
        return None
    middle = _rounded(sqrt(low * high), within)
    return middle if low < middle < high else None


def _rounded(hardness: float, within: Range) -> float:
    """The nearest one that can be tried."""
    if within.whole:
        return within.whole / max(1, round(within.whole / hardness))
    if within.is_whole:
        return float(max(1, round(hardness)))
    return float(f"{hardness:.{DIGITS_COUNT}g}")


def _most(within: Range) -> int:
    """Trials that tell: enough for the rise, the bisection and what comes after them."""
    rises_count = ceil(log(within.high / within.low) / log(FACTOR))
    bisections_count = ceil(log2(log(FACTOR) / log1p(within.precision)))
    return max(MOST, rises_count + bisections_count + 3)


def _confirmation(hardness: float, votes: Votes) -> tuple[float, Kind] | None:
    """Until one kind of trial has more than the other for certain."""
    held, broken, untold = votes[hardness]
    is_sure = abs(held - broken) >= SURE or held + broken > SURE or untold >= TRIES_COUNT
    return None if is_sure else (hardness, Kind.CONFIRM)


def _beyond(votes: Votes, high: float, within: Range) -> tuple[float, Kind] | None:
    wanted = _rounded(min(within.high, high * BEYOND), within)
    is_known = wanted in votes or max(votes) >= wanted or wanted <= high
    return None if is_known else (wanted, Kind.BEYOND)


def _gap(votes: Votes, within: Range) -> tuple[float, Kind] | None:
    """Between two loads that hold there may be one that does not: the middle of the widest gap."""
    lasting = sorted(_held(votes))
    gaps = [(high / low, sqrt(low * high)) for low, high in pairwise(lasting)]
    ratio, middle = max(gaps, default=(1.0, 0.0))
    if ratio < WIDE:
        return None
    wanted = _rounded(middle, within)
    is_known = any(abs(log(hardness / wanted)) < log(WIDE) / 4 for hardness in votes)
    return None if is_known else (wanted, Kind.BETWEEN)


def _island(votes: Votes, lasting: list[float], within: Range) -> tuple[float, Kind] | None:
    """The easiest load does not hold: a harder one may, if it is not too hard either."""
    highest = max(votes)
    if lasting or len(votes) > 2 or highest >= within.high:
        return None
    return min(within.high, highest * FACTOR), Kind.BEYOND


def _recovery(trials: Sequence[Trial], edge: Edge, within: Range) -> tuple[float, Kind] | None:
    tried = [one for one in trials if one.kind is Kind.RECOVERY]
    if edge.held is None or not within.has_overload or any(one.verdict is Verdict.HELD for one in tried):
        return None
    if not tried:
        return edge.held, Kind.RECOVERY
    last = tried[-1].hardness
    if tried[-1].verdict is Verdict.UNTOLD:
        untold_count = sum(one.hardness == last for one in tried)
        return (last, Kind.RECOVERY) if untold_count < TRIES_COUNT else None
    wanted = _rounded(max(within.low, last * STEP_BACK), within)
    return (wanted, Kind.RECOVERY) if wanted < last else None
