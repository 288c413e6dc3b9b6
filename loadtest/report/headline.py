"""The headline of a run: what it found, in a sentence or two. Pure.

It is often read alone, so it says no more than the figures show: shares are of all arrivals of the
repetitions that count, and latencies are compared only where both of them can be used.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from loadtest.report.wording import code, count, multiple, percent
from loadtest.results.summary import Arm, Summary

WITHOUT = ("cached", "direct")
WITH = ("managed", "classic")
REFERENCE = "ideal"
OTHERS_COUNT = 3  # other arms that are named
FAILED_RATIO = 0.01  # with more failures, the mean over the few answers says little about an arm


class Failures(NamedTuple):
    """How many of an arm's arrivals failed, and with which errors."""

    arm: str
    arrivals_count: float
    failed_count: float
    errors: Counter[str]

    @property
    def failed_ratio(self) -> float:
        return self.failed_count / self.arrivals_count


def headline(summary: Summary) -> str:
    """What the run found; says so where it found nothing."""
    arms = summary.arms
    failures = {arm: found for arm, values in arms.items() if (found := _failures(arm, values))}
    without = [failures[arm] for arm in WITHOUT if arm in failures]
    managed = [failures[arm] for arm in WITH if arm in failures]
    others = [f for arm, f in failures.items() if arm not in (*WITHOUT, *WITH, REFERENCE)]
    if not failures:
        return "No arrivals were counted, so there is no result."
    sentences = _sides(without, managed, _latency(arms, failures))
    if others:
        text = _list_of(others[:OTHERS_COUNT], named=True)
        sentences.append(text[0].upper() + text[1:])
    if len(others) > OTHERS_COUNT:
        sentences.append(f"{len(others) - OTHERS_COUNT} more arms are in the table")
    if not sentences:
        sentences = [f"With a perfect pool ({REFERENCE}), {_list_of([failures[REFERENCE]], named=False)}"]
    return ". ".join(sentences) + "."


def _failures(name: str, arm: Arm) -> Failures | None:
    """Over the valid repetitions, or over all where none is valid: counts do not depend on the clock."""
    repetitions = [r for r in arm.repetitions if r.arrivals_count]
    used = [r for r in repetitions if r.valid] or repetitions
    arrivals_count = sum(r.arrivals_count or 0 for r in used)
    if not arrivals_count:
        return None
    errors: Counter[str] = Counter()
    for repetition in used:
        for error, n in repetition.errors.items():
            errors[error] += n  # type: ignore[assignment]  # of one repetition, so an integer
    return Failures(name, arrivals_count, sum(errors.values()), errors)


def _sides(without: Sequence[Failures], managed: Sequence[Failures], latency: str) -> list[str]:
    both = [*without, *managed]
    if without and managed and not any(f.failed_count for f in both):
        total_count = sum(f.arrivals_count for f in both)
        sentences = [f"None of {count(total_count)} invocations failed, with or without the manager"]
        if latency:
            sentences.append(f"The mean latency of managed was {latency} that of a perfect pool")
        return sentences
    sentences = []
    if without:
        sentences.append(f"Without the manager, {_list_of(without, named=_needs_names(without))}")
    if managed:
        opening = "With it" if without else "With the manager"
        said_count = without[0].arrivals_count if without else None
        at = f", at {latency} the mean latency of a perfect pool" if latency else ""
        text = _list_of(managed, named=_needs_names(managed), said_count=said_count, of_first=at)
        sentences.append(f"{opening}, {text}")
    return sentences


def _needs_names(side: Sequence[Failures]) -> bool:
    """The strategy that a side stands for goes without saying when it is alone."""
    return len(side) > 1 or side[0].arm not in (WITHOUT[0], WITH[0])


def _list_of(
    arms: Sequence[Failures], *, named: bool, said_count: float | None = None, of_first: str = ""
) -> str:
    """``74% of 100 invocations failed with cached (all 1040), and none with direct``.

    Args:
        arms: one or more.
        named: whether to name the first, too.
        said_count: a number of invocations that has been named, and is not repeated.
        of_first: what else is to be said about the first.
    """
    first, *rest = arms
    verb = "did" if first.arrivals_count == said_count and not named else "failed"
    name = f" with {first.arm}" if named else ""
    items = [f"{_share(first, said_count)} {verb}{name}{_errors(first)}{of_first}"]
    items += [f"{_share(f, first.arrivals_count)} with {f.arm}{_errors(f)}" for f in rest]
    return ", ".join([*items[:-1], f"and {items[-1]}"]) if rest else items[0]


def _share(failures: Failures, said_count: float | None) -> str:
    of = "" if failures.arrivals_count == said_count else f"{count(failures.arrivals_count)} invocations"
    if failures.failed_count == failures.arrivals_count:
        return f"all {of}".rstrip()
    share = percent(failures.failed_ratio) if failures.failed_count else "none"
    return f"{share} of {of}" if of else share


def _errors(failures: Failures) -> str:
    """`` (all 1040)``, or the most frequent errors; nothing where nothing failed."""
    if not failures.failed_count:
        return ""
    # Ties by name: the sentence must not depend on the order of repetitions.
    ordered = sorted(failures.errors.items(), key=lambda item: (-item[1], item[0]))
    names, most_count = [code(name) for name, _ in ordered], ordered[0][1]
    if failures.failed_count == 1:
        return f" ({names[0]})"
    if most_count == failures.failed_count:
        return f" (all {names[0]})"
    if 2 * most_count > failures.failed_count:
        return f" (mostly {names[0]})"
    return f" ({names[0]} and {names[1]})" if len(names) == 2 else f" ({names[0]}, {names[1]} and others)"


def _latency(arms: Mapping[str, Arm], failures: Mapping[str, Failures]) -> str:
    """The mean of managed as a multiple of ideal's; empty where one of them cannot be used."""
    managed_ms, reference_ms = (_mean_ms(arms.get(a), failures.get(a)) for a in (WITH[0], REFERENCE))
    return multiple(managed_ms / reference_ms) if managed_ms is not None and reference_ms else ""


def _mean_ms(arm: Arm | None, failures: Failures | None) -> float | None:
    if arm is None or failures is None or failures.failed_ratio > FAILED_RATIO:
        return None
    latency_ms = arm.median.latency_ms
    return latency_ms.mean if arm.median.valid and "mean" not in latency_ms.disturbed else None
