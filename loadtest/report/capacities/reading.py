"""A search's run folder in, its summary out: what each arm carries, always from the rows of the trials."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from loadtest.errors import NothingMeasured, UsageError
from loadtest.report import medians
from loadtest.report.budgets.grammar import Budget, Number, parse_objective
from loadtest.report.capacities.asked import Asked
from loadtest.report.capacities.axis import Axis
from loadtest.report.capacities.objective import Told, tell
from loadtest.report.capacities.search import Edge, Kind, Trial, Verdict, edge_of, next_trial
from loadtest.report.capacities.theory import little_per_s, mdc_per_s
from loadtest.report.run_summary import finite, listed, summarise_run
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import Arm, ArmFigures, Capacity, CapacityTrial, Summary, Theory, asked_arms

P99 = "latency_ms.p99"


class Done(NamedTuple):
    """One trial: where its rows are, and what they say."""

    hardness: float
    trial: CapacityTrial

    @property
    def as_trial(self) -> Trial:
        return Trial(self.hardness, Kind(self.trial.kind), Verdict(self.trial.verdict))


def is_search(run: dict[str, Any]) -> bool:
    """Whether ``run``, the contents of a ``run.json``, is of a search for the capacity."""
    return "capacity" in run


def summarise_search(folder: RunFolder) -> Summary:
    """The summary of a search.

    Args:
        folder: its run.

    Raises:
        NothingMeasured: no trial has an arrival.
        UsageError: ``run.json`` does not say what was asked for.
    """
    run = folder.read_run()
    try:
        asked = msgspec.convert(run.get("capacity"), Asked)
        objective = parse_objective(asked.slo)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"{folder.run}: capacity: {error}") from None
    warnings = [str(text) for text in listed(run.get("warnings"))]
    left_out = {text.partition(" was not run")[0] for text in warnings if " was not run" in text}
    wanted = [arm for arm in asked_arms(run.get("settings")) if arm not in left_out]
    done = {
        arm: [trial_of(folder, trial, arm, asked.axis, objective) for trial in folder.trials(arm)]
        for arm in wanted
    }
    if not any(one.trial.figures.arrivals_count for trials in done.values() for one in trials):
        raise NothingMeasured(f"{folder.path}: nothing was measured: no trial has an arrival")
    capacity = {arm: capacity_of(trials, asked) for arm, trials in done.items()}
    capacity = {arm: _with_theory(arm, one, asked, objective, run) for arm, one in capacity.items()}
    return Summary(
        scenario=finite(run.get("settings")),
        server=finite(run.get("server")),
        environment=finite(run.get("environment")),
        valid=all(one.limited_by in ("server", "range") for one in capacity.values()),
        warnings=warnings + [f"{arm} was not tried" for arm, one in done.items() if not one],
        arms={arm: found for arm, one in capacity.items() if (found := _at_capacity(one)) is not None},
        capacity=capacity,
    )


def trial_of(folder: RunFolder, trial: RunFolder, arm: str, axis: Axis, objective: Sequence[Budget]) -> Done:
    """What one trial says.

    Args:
        folder: the run of the search.
        trial: that of the trial.
        arm: whose trial it is.
        axis: what the search varies.
        objective: that has to be held.

    Raises:
        UsageError: ``trial`` is none of a search.
    """
    try:
        said = trial.read_run()["trial"]
        value, kind = float(said["value"]), str(Kind(said["kind"]))
        if not (isfinite(value) and value > 0):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{trial.run}: it does not say which trial it is") from None
    figures = ArmFigures(valid=False)
    try:
        summary = summarise_run(trial)
        figures = summary.arms[arm].median
        told = tell(objective, arm, summary)
    except (NothingMeasured, KeyError):
        told = Told(Verdict.UNTOLD, reason="it has not a single arrival")
    return Done(
        axis.hardness(value),
        CapacityTrial(
            value=value, kind=kind, verdict=told.verdict, broken=list(told.broken), reason=told.reason,
            folder=str(trial.path.relative_to(folder.path)), figures=figures,
        ),
    )  # fmt: skip


def capacity_of(done: Sequence[Done], asked: Asked) -> Capacity:
    """What the trials of an arm say: ``done``, in order; ``asked`` is what was looked for."""
    axis, trials = asked.axis, [one.as_trial for one in done]
    edge = edge_of(trials, asked.precision)
    value = None if edge.held is None else axis.value(edge.held)
    ends = [None if end is None else axis.high / end if axis.is_reversed else end for end in edge.interval]
    return Capacity(
        vary=asked.vary,
        objective=asked.slo,
        precision=asked.precision,
        value=value,
        capacity_per_s=value if asked.vary == "rate" else None,
        interval=(ends[1], ends[0]) if axis.is_reversed else (ends[0], ends[1]),
        limited_by=_limited_by(trials, edge, asked),
        first_broken=_first_broken(done, edge),
        recovers=edge.recovers,
        holds_again_at=None if edge.again is None else axis.value(edge.again),
        trials=[one.trial for one in done],
    )


def _limited_by(trials: Sequence[Trial], edge: Edge, asked: Asked) -> str:
    if next_trial(trials, asked.range) is not None:
        return "time"
    if edge.broken is None:
        return "range"
    return "server" if edge.is_told else "generator"


def _first_broken(done: Sequence[Done], edge: Edge) -> str:
    """The figure that broke most often in the easiest trials that broke."""
    at_edge = [one.trial for one in done if one.hardness == edge.broken and one.trial.broken]
    counts = Counter(name for trial in at_edge for name in trial.broken)
    return counts.most_common(1)[0][0] if counts else ""


def _at_capacity(capacity: Capacity) -> Arm | None:
    """The repetitions at the load that holds."""
    held = [
        trial for trial in capacity.trials if trial.value == capacity.value and trial.verdict == Verdict.HELD
    ]
    # After a step back there may be no other than that after an overload.
    steady = [trial for trial in held if trial.kind != Kind.RECOVERY] or held
    found: list[ArmFigures] = [trial.figures for trial in steady]
    return Arm(found, medians.of_repetitions(found)) if found else None


def _with_theory(
    arm: str, capacity: Capacity, asked: Asked, objective: Sequence[Budget], run: dict[str, Any]
) -> Capacity:
    """Of ``ideal``, which is such a pool, as long as the rate varies."""
    reserve = run["settings"].get("ideal_reserve", 0)
    timed = [trial for trial in capacity.trials if trial.figures.duration_ms.p50]
    easiest = min(timed, key=lambda trial: trial.value, default=None)
    held_ms = easiest.figures.duration_ms.p50 if easiest is not None else None
    server = run.get("server")
    limit = server.get("max_connections") if isinstance(server, dict) else None
    if arm != "ideal" or asked.vary != "rate" or not held_ms or not isinstance(limit, int):
        return capacity
    count, hold_s = max(1, limit - (reserve if isinstance(reserve, int) else 0)), held_ms / 1000
    longest_ms = next((found for b in objective if (found := _longest_ms(b)) is not None), None)
    mdc = None if longest_ms is None else mdc_per_s(count, hold_s, longest_ms / 1000)
    capacity.theory = Theory(count, held_ms, little_per_s(count, hold_s), mdc)
    return capacity


def _longest_ms(budget: Budget) -> float | None:
    """The limit of a condition ``latency_ms.p99 <= 100``."""
    is_limit = (
        str(budget.left) == P99 and budget.comparison in ("<", "<=") and isinstance(budget.right, Number)
    )
    return budget.right.value if is_limit and isinstance(budget.right, Number) else None
