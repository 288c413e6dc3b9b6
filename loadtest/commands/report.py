"""``loadtest report``, and how a run's budgets end a command."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.bench.progress import ProgressLog
from loadtest.commands.options import budget_options
from loadtest.commands.output import EXIT_CODES, say, say_summary

if TYPE_CHECKING:
    from loadtest.commands.gate import Gate
    from loadtest.results.run_folder import RunFolder


@click.command(epilog=EXIT_CODES)
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print the summary as JSON instead of the table")
@budget_options
def report(path: Path, as_json: bool, budgets: tuple[str, ...], baseline: Path | None) -> int:
    """Make a run's summary and reports again from its rows, show them, and judge its budgets."""
    from loadtest.commands.gate import read_gate, stored_gate
    from loadtest.results.run_folder import RunFolder

    folder = RunFolder.open(path)
    if budgets:
        gate = read_gate(budgets, baseline, folder.arms(), ran=True)
    else:
        gate = stored_gate(folder.budgets(), baseline)
    return judged(folder, gate, as_json, ProgressLog(say, as_json=False, on_terminal=False))


def judged(folder: "RunFolder", gate: "Gate", as_json: bool, log: ProgressLog) -> int:
    """Writes the reports, shows them (as JSON if ``as_json``), judges the budgets. Returns the exit code."""
    from loadtest.commands.gate import add_to_job_summary, annotations, exit_code
    from loadtest.report.files import write_report

    summary, judgements = write_report(folder, gate.judge)
    say_summary(summary, folder.path, as_json)
    for judgement in judgements:
        log.event("budget", judgement.line(), budget=judgement.budget.text, state=judgement.state)
    for text in (*annotations(judgements), add_to_job_summary(folder.report_md)):
        if text:
            say(text, err=True)
    return exit_code(judgements)
