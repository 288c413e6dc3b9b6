"""``loadtest report``, and how a run's budgets end a command."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.bench.progress import ProgressLog
from loadtest.commands.options import budget_options
from loadtest.commands.output import EXIT_CODES, say, say_capacity, say_summary

if TYPE_CHECKING:
    from loadtest.commands.gate import Gate
    from loadtest.report.budgets.judgement import Judgement
    from loadtest.results.run_folder import RunFolder


@click.command(epilog=EXIT_CODES)
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print the summary as JSON instead of the table")
@budget_options
def report(path: Path, as_json: bool, budgets: tuple[str, ...], baseline: Path | None) -> int:
    """Make a run's summary and reports again from its rows, show them, and judge its budgets."""
    from loadtest.commands.gate import read_gate, stored_gate
    from loadtest.report.budgets.judgement import CAPACITY
    from loadtest.report.capacities.reading import is_search
    from loadtest.results.run_folder import RunFolder

    folder = RunFolder.open(path)
    searched = is_search(folder.read_run())
    if budgets:
        arms = folder.trial_arms() if searched else folder.arms()
        gate = read_gate(budgets, baseline, arms, ran=True, more=[CAPACITY] if searched else [])
    else:
        gate = stored_gate(folder.budgets(), baseline)
    log = ProgressLog(say, as_json=False, on_terminal=False)
    return (judged_search if searched else judged)(folder, gate, as_json, log)


def judged(folder: "RunFolder", gate: "Gate", as_json: bool, log: ProgressLog) -> int:
    """Writes the reports, shows them (as JSON if ``as_json``), judges the budgets. Returns the exit code."""
    from loadtest.report.files import write_report

    summary, judgements = write_report(folder, gate.judge)
    say_summary(summary, folder.path, as_json)
    return _ended(folder, judgements, log)


def judged_search(folder: "RunFolder", gate: "Gate", as_json: bool, log: ProgressLog) -> int:
    """The same of a search for the capacity. The exit code is 4 if nothing could be told of any arm.

    ``folder`` is its run, ``gate`` has its budgets, ``as_json`` is as :func:`judged` has it.
    """
    from loadtest.report.files import write_search

    summary, judgements = write_search(folder, gate.judge)
    say_capacity(summary, folder.path, as_json)
    code = _ended(folder, judgements, log)
    found = summary.capacity if isinstance(summary.capacity, dict) else {}
    is_told = any(one.value is not None or one.limited_by == "server" for one in found.values())
    return code or (0 if is_told else 4)


def _ended(folder: "RunFolder", judgements: "list[Judgement]", log: ProgressLog) -> int:
    """Says what became of the budgets. Returns the exit code."""
    from loadtest.commands.gate import add_to_job_summary, annotations, exit_code

    for judgement in judgements:
        log.event("budget", judgement.line(), budget=judgement.budget.text, state=judgement.state)
    for text in (*annotations(judgements), add_to_job_summary(folder.report_md)):
        if text:
            say(text, err=True)
    return exit_code(judgements)
