"""``loadtest capacity``."""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loadtest.bench.interrupts import Interrupts
from loadtest.bench.progress import ProgressLog
from loadtest.commands.options import (
    allow_remote_option,
    budget_options,
    harm_agreed,
    plan_of,
    plan_options,
    server_option,
    strategies_option,
    via_option,
    warn_of_password,
)
from loadtest.commands.output import EXIT_CODES, say, say_capacity
from loadtest.commands.report import judged_search
from loadtest.errors import LoadtestError, UsageError
from loadtest.report.capacities.axis import OBJECTIVE, OBJECTIVES, VARIED, Axis
from loadtest.results.summary import Vary
from loadtest.server.choice import ServerChoice
from loadtest.settings.durations import duration_s
from loadtest.settings.plan import Plan
from loadtest.settings.strategy import arm_name

if TYPE_CHECKING:
    from loadtest.results.run_folder import RunFolder
    from loadtest.results.summary import CapacityTrial

TRIAL_DURATION = "10s"  # unless it is said otherwise: a search has a dozen for each arm
WHY_LENGTH = 100  # of a line about a trial
# How often each load is tried is for the search to say; and it makes its load on this machine.
OWN = ("repetitions", "reruns", "workers")


@click.command(epilog=EXIT_CODES)
@click.argument("scenario", default="burst")
@strategies_option
@via_option
@click.option(
    "--slo",
    metavar="TEXT",
    help="the objective that a load has to hold: conditions as in budgets, without an arm, joined by and  "
    f"[{OBJECTIVE}; for --vary maximum-concurrency {OBJECTIVES['maximum-concurrency']}]",
)
@click.option(
    "--vary",
    type=click.Choice(VARIED),
    default="rate",
    show_default=True,
    help="what is varied: the arrival rate, the connections that the server has, the time of other work, or "
    "the invocations at once that a queue makes (with --invoke queue)",
)
@click.option(
    "--from", "low", type=float, metavar="NUMBER", help="the lowest value that is tried  [50, 5, 1 or 2]"
)
@click.option("--to", "high", type=float, metavar="NUMBER", help="the highest  [4000, 500, 1000 or 1000]")
@click.option(
    "--precision",
    default="5%",
    show_default=True,
    metavar="PERCENT",
    help="how far apart a value that holds and one that does not may be in the end",
)
@click.option(
    "--time-limit",
    default="15m",
    show_default=True,
    metavar="DURATION",
    help="the longest that the search may take, all strategies together; then it says what is known so far",
)
@server_option
@allow_remote_option
@plan_options(without=OWN)
@click.option(
    "--out", type=click.Path(path_type=Path), help="the folder for the results  [results/TIME-capacity]"
)
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON instead of the table")
@budget_options
@click.pass_obj
def capacity(
    interrupts: Interrupts,
    /,
    scenario: str,
    strategies: str | None,
    via: tuple[str, ...],
    slo: str | None,
    vary: Vary,
    low: float | None,
    high: float | None,
    precision: str,
    time_limit: str,
    choice: ServerChoice,
    allow_remote: bool,
    out: Path | None,
    as_json: bool,
    budgets: tuple[str, ...],
    baseline: Path | None,
    **given: Any,
) -> int:
    """Find how much load each strategy carries within an objective, and what gives first.

    SCENARIO is one of `loadtest scenarios` or a TOML file of your own. Its rate is what the search varies.
    Each trial lasts 10 s, unless --duration says otherwise, or the scenario has a shape, a ramp, a warm-up
    or a deployment: then it lasts as long as the scenario.
    """
    from loadtest.bench.capacity import CapacitySearch
    from loadtest.commands.gate import read_gate
    from loadtest.report.budgets.judgement import CAPACITY
    from loadtest.report.capacities.asked import Asked

    axis = Axis.between(vary, low, high)
    if given.get(axis.option) is not None:
        raise UsageError(f"--{vary} is what the search varies; give it --from and --to")
    slo = OBJECTIVES.get(vary, OBJECTIVE) if slo is None else slo
    check_objective(slo)
    plan_at = _plan_at(scenario, strategies, given | axis.needs, via)
    hardest = _checked(plan_at, axis, scenario)
    arms = [arm_name(text) for text in hardest.strategies]
    gate = read_gate(budgets, baseline, arms, ran=False, more=[CAPACITY] if vary == "rate" else [])
    asked = Asked(vary, slo, axis.low, axis.high, _ratio(precision), _limit_s(time_limit))
    rate = (
        f"{axis.low:,g} to {axis.high:,g} arrivals per second and, to see whether it recovers, twice as many"
    )
    total = f"again and again for up to {time_limit}, with {', '.join(arms)}"
    harm = harm_agreed(
        choice, hardest, allow_remote=allow_remote, rate=rate if vary == "rate" else "", total=total
    )
    path = out or Path("results") / f"{time.strftime('%Y%m%d-%H%M%S')}-capacity"
    warn_of_password(choice)
    log = ProgressLog(say, as_json=False, on_terminal=sys.stderr.isatty())
    if harm:
        log.event("remote", f"loadtest: {harm}", message=harm)
    search = CapacitySearch(
        plan_at,
        asked,
        path,
        interrupts,
        log.progress,
        lambda arm, trial: log.event("trial", _line(arm, trial, axis)),
        lambda text: log.event("installing", f"loadtest: {text}", message=text),
        lambda text: log.event("warning", f"loadtest: warning: {text}", message=text),
        [budget.text for budget in gate.budgets],
    )
    try:
        search.run(choice)
    except LoadtestError as error:
        if search.measured:
            _say_what_there_is(search.folder, as_json, f"the search did not end by itself: {error}")
        raise
    return judged_search(search.folder, gate, as_json, log)


def _plan_at(
    scenario: str, strategies: str | None, given: dict[str, Any], via: tuple[str, ...]
) -> Callable[[Mapping[str, Any]], Plan]:
    """Makes the plan of a trial from what it changes. Raises :class:`UsageError`."""
    from loadtest.bench.capacity import is_steady

    def plan_at(changes: Mapping[str, Any]) -> Plan:
        plan = plan_of(scenario, strategies, given, changes, via)
        if plan.faults:
            raise UsageError(f"scenario {scenario} has faults, which only loadtest bench takes")
        if plan.pause_after_s:
            raise UsageError("a database that pauses (pause-after) is for loadtest bench only")
        return plan

    if given["duration_s"] is None and is_steady(plan_at({})):
        given["duration_s"] = TRIAL_DURATION
    return plan_at


def _checked(plan_at: Callable[[Mapping[str, Any]], Plan], axis: Axis, scenario: str) -> Plan:
    """The plan at the end of the range, once it is sure that both ends can be. Raises :class:`UsageError`."""
    from loadtest.bench.bench import check_size

    for end in (axis.low, axis.high):
        plan = plan_at({axis.option: end})
        check_size(plan)
    if axis.vary == "rate" and plan.model == "closed":
        raise UsageError("--vary rate needs the open model: with --model closed there is no rate")
    if plan.workers:
        raise UsageError(f"scenario {scenario} has workers, which only loadtest bench takes: use --processes")
    return plan


def _line(arm: str, trial: "CapacityTrial", axis: Axis) -> str:
    """``managed 800/s: broken (rise: error_ratio)``."""
    from loadtest.report.wording import shortened

    why = ", ".join(trial.broken) or shortened(trial.reason, WHY_LENGTH)
    return f"{arm} {axis.text(trial.value)}: {trial.verdict} ({trial.kind}{': ' + why if why else ''})"


def _say_what_there_is(folder: "RunFolder", as_json: bool, warning: str) -> None:
    """What ended the search is what matters: that nothing can be shown is no second error."""
    from loadtest.report.files import write_search

    with suppress(LoadtestError):
        folder.add_warning(warning)
        say_capacity(write_search(folder)[0], folder.path, as_json)


def _limit_s(text: str) -> float:
    limit_s = duration_s(text)
    if not limit_s:
        raise UsageError(f"--time-limit {text}: a search takes time")
    return limit_s


def check_objective(text: str) -> None:
    """Raises :class:`UsageError` for an objective (``text``) that makes no sense."""
    from loadtest.commands.gate import error_names
    from loadtest.report.budgets.grammar import parse_objective
    from loadtest.report.budgets.names import check

    any_arm = "any"
    check([one.of(any_arm) for one in parse_objective(text)], [any_arm], None, error_names())


def _ratio(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1:
        raise UsageError(f"--precision {text}: expected a percentage from 0.1% to 100%, such as 5%")
    return value
