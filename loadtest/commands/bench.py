"""``loadtest bench``."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loadtest.bench.interrupts import Interrupts
from loadtest.bench.meeting import Meeting
from loadtest.bench.progress import ProgressLog
from loadtest.commands.options import (
    allow_remote_option,
    budget_options,
    faults_option,
    harm_agreed,
    meeting_options,
    plan_of,
    plan_options,
    server_option,
    strategies_option,
    tag_option,
    via_option,
    wait_of,
    warn_of_password,
)
from loadtest.commands.output import EXIT_CODES, say, say_summary
from loadtest.commands.report import judged
from loadtest.errors import LoadtestError
from loadtest.server.choice import ServerChoice
from loadtest.settings.strategy import arm_name

if TYPE_CHECKING:
    from loadtest.results.run_folder import RunFolder


@click.command(epilog=EXIT_CODES)
@click.argument("scenario", default="quick")
@strategies_option
@server_option
@allow_remote_option
@plan_options()
@faults_option
@via_option
@tag_option
@meeting_options
@click.option(
    "--out", type=click.Path(path_type=Path), help="the folder for the results  [results/TIME-SCENARIO]"
)
@click.option("--json", "as_json", is_flag=True, help="print the summary as JSON instead of the table")
@budget_options
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="how progress is written to stderr: lines of text, or one JSON object per line",
)
@click.pass_obj
def bench(
    interrupts: Interrupts,
    /,
    scenario: str,
    strategies: str | None,
    faults: tuple[str, ...],
    via: tuple[str, ...],
    tags: tuple[str, ...],
    choice: ServerChoice,
    allow_remote: bool,
    out: Path | None,
    as_json: bool,
    budgets: tuple[str, ...],
    baseline: Path | None,
    log_format: str,
    workers_wait: str,
    master_bind_host: str,
    master_bind_port: int,
    **given: Any,
) -> int:
    """Run every strategy of SCENARIO against a real server and report what happened.

    SCENARIO is one of `loadtest scenarios` or a TOML file of your own.
    """
    from loadtest.bench.bench import Bench
    from loadtest.commands.gate import read_gate

    listed = {name: list(of) for name, of in (("faults", faults), ("tags", tags)) if of}
    plan = plan_of(scenario, strategies, given, listed, via)
    gate = read_gate(budgets, baseline, [arm_name(text) for text in plan.strategies], ran=False)
    harm = harm_agreed(choice, plan, allow_remote=allow_remote)
    path = out or Path("results") / f"{time.strftime('%Y%m%d-%H%M%S')}-{plan.scenario}"
    warn_of_password(choice)
    log = ProgressLog(say, as_json=log_format == "json", on_terminal=sys.stderr.isatty())
    if harm:
        log.event("remote", f"loadtest: {harm}", message=harm)
    run = Bench(
        plan,
        path,
        interrupts,
        log.progress,
        [b.text for b in gate.budgets],
        lambda text: log.event("installing", f"loadtest: {text}", message=text),
        lambda text: log.event("warning", f"loadtest: warning: {text}", message=text),
        Meeting(master_bind_host, master_bind_port, wait_of(workers_wait)),
    )
    try:
        run.run(choice)
    except LoadtestError as error:
        if run.measured:
            _say_what_there_is(run.folder, as_json, f"the run did not end by itself: {error}")
        raise
    return judged(run.folder, gate, as_json, log)


def _say_what_there_is(folder: "RunFolder", as_json: bool, warning: str) -> None:
    """What ended the run is what matters: that nothing can be shown is no second error."""
    from loadtest.report.files import write_report

    with suppress(LoadtestError):
        folder.add_warning(warning)
        say_summary(write_report(folder)[0], folder.path, as_json)
