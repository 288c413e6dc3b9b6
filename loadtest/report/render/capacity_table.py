"""What a search found, as sentences and as rows of two tables: the arms, and their trials. Pure."""

from collections.abc import Iterator, Mapping

from loadtest.report.capacities.axis import Axis
from loadtest.report.wording import NOTHING, count, number, percent
from loadtest.results.summary import Capacity, CapacityTrial, QueueFigures

HEADS = ("strategy", "holds", "between", "limited by", "first to break", "recovers", "trials")
TRIAL_HEADS = ("strategy", "tried", "as", "verdict", "errors", "p99 ms", "connections", "why")
FAMILIAR = {True: "yes", False: "no", None: NOTHING}
LIMITS = {
    "server": "the server",
    "generator": "the generator",
    "range": "the range",
    "time": "the time",
}


def axis_of(capacity: Capacity) -> Axis:
    """For its units: the ends are of no meaning here."""
    return Axis(capacity.vary, 1.0, 2.0)


def sentence(arm: str, capacity: Capacity) -> str:
    """``managed holds up to 1,180/s (1,120 to 1,240/s); beyond it latency_ms.p99 breaks first.``

    ``arm`` is the name of what has this capacity.
    """
    axis = axis_of(capacity)
    word = "down to" if axis.is_reversed else "up to"
    if capacity.value is None and capacity.limited_by == "generator":
        return f"What {arm} holds cannot be told: {_why(capacity)}."
    if capacity.value is None and capacity.limited_by == "time" and capacity.recovers is False:
        lowest = axis.text(min(trial.value for trial in capacity.trials if trial.kind == "recovery"))
        why = f"{lowest} does not hold again after an overload, and there was no time for lower ones"
        return f"What {arm} holds is not known: {why}."
    if capacity.value is None:
        told = f"{arm} does not hold the objective{_anywhere(capacity)}"
    else:
        told = f"{arm} holds {word} {axis.text(capacity.value)}{_interval(capacity)}{_queued(capacity)}"
    return f"{told}{_beyond(capacity)}."


def _queued(capacity: Capacity) -> str:
    """For how long events wait then, if they do."""
    queues = [trial.figures.queue for trial in capacity.trials if trial.value == capacity.value]
    oldest_s = [one.oldest_peak_s for one in queues if isinstance(one, QueueFigures)]
    longest_s = max((value for value in oldest_s if value is not None), default=None)
    return "" if longest_s is None else f", with the oldest event {number(longest_s)} s in the queue"


def _why(capacity: Capacity) -> str:
    return next((trial.reason for trial in capacity.trials if trial.reason), "no trial was complete")


def _anywhere(capacity: Capacity) -> str:
    axis = axis_of(capacity)
    tried = [trial.value for trial in capacity.trials]
    if not tried:
        return ": no trial was complete"
    if capacity.recovers is False:
        lowest = min(trial.value for trial in capacity.trials if trial.kind == "recovery")
        return f" again after an overload, not even at {axis.text(lowest)}"
    easiest = max(tried) if axis.is_reversed else min(tried)
    broken = f": {capacity.first_broken} breaks" if capacity.first_broken else ""
    return f", not even at {axis.text(easiest)}{broken}"


def _interval(capacity: Capacity) -> str:
    axis = axis_of(capacity)
    low, high = capacity.interval
    if low is None or high is None:
        return ""
    return f" ({axis.text(low).removesuffix(axis.unit)} to {axis.text(high)})"


def _beyond(capacity: Capacity) -> str:
    axis, parts = axis_of(capacity), []
    if capacity.limited_by == "server" and capacity.value is not None:
        if capacity.first_broken:
            parts.append(f"beyond it {capacity.first_broken} breaks first")
    elif capacity.limited_by == "generator":
        parts.append("beyond it the load generator or the machine is the limit, so it may carry more")
    elif capacity.limited_by == "range" and capacity.value is not None:
        parts.append("that is the end of the range, so it may carry more")
    elif capacity.limited_by == "time":
        parts.append("the time was over before the search was, so that is a bound")
    harder = [trial for trial in capacity.trials if trial.kind == "recovery" and trial.verdict == "broken"]
    if capacity.recovers and harder:
        parts.append("harder loads do not hold again after an overload")
    if capacity.holds_again_at is not None:
        parts.append(f"it holds again at {axis.text(capacity.holds_again_at)}")
    return "".join(f"; {part}" for part in parts)


def theory(arm: str, capacity: Capacity) -> str:
    """What queueing theory says of ``arm``, empty where it says nothing."""
    found = capacity.theory
    if found is None or found.little_per_s is None:
        return ""
    text = (
        f"Theory: {count(found.connections_count)} connections, each held for {number(found.hold_ms)} ms, "
        f"carry at most {found.little_per_s:,.0f}/s (Little's law)"
    )
    if found.mdc_per_s is not None:
        text += f", and {found.mdc_per_s:,.0f}/s if 99% of the answers are to be in time (M/D/c)"
    return f"{text}. {arm} has to stay below that."


def rows(capacity: Mapping[str, Capacity]) -> Iterator[tuple[str, ...]]:
    """A row for each arm, as :data:`HEADS`; ``capacity`` is by arm."""
    for arm, one in capacity.items():
        axis = axis_of(one)
        low, high = (NOTHING if end is None else axis.text(end) for end in one.interval)
        yield (
            arm,
            NOTHING if one.value is None else axis.text(one.value),
            f"{low} and {high}",
            LIMITS.get(one.limited_by, one.limited_by),
            one.first_broken or NOTHING,
            FAMILIAR[one.recovers],
            str(len(one.trials)),
        )


def trial_rows(capacity: Mapping[str, Capacity]) -> Iterator[tuple[str, ...]]:
    """A row for each trial, in order of what was tried, as :data:`TRIAL_HEADS`; ``capacity`` is by arm."""
    for arm, one in capacity.items():
        for trial in sorted(one.trials, key=lambda trial: trial.value):
            yield (arm, *_trial(axis_of(one), trial))


def _trial(axis: Axis, trial: CapacityTrial) -> tuple[str, ...]:
    figures = trial.figures
    return (
        axis.text(trial.value),
        trial.kind,
        trial.verdict,
        percent(figures.error_ratio),
        number(figures.latency_ms.p99),
        count(figures.connections.peak_count),
        ", ".join(trial.broken) or trial.reason or NOTHING,
    )
