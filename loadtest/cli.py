"""Words in, text and exit status out; the only module that prints."""

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loadtest.arguments import Commands, budget_options, compare_options, plan_of, plan_options, server_option
from loadtest.errors import Interrupted, LoadtestError, ResultsError, UsageError
from loadtest.settings import STRATEGIES, read_scenario, scenario_names
from loadtest.signals import Interrupts, handled, ignored
from loadtest.telling import Teller

if TYPE_CHECKING:
    from loadtest.gate import Gate
    from loadtest.server.target import Target
    from loadtest.store import RunFolder

ENDED = """\
Exit codes: 0 done; 1 a budget is missed or a regression found; 2 usage or a bad file; 3 no server to be
had, lost, or results that cannot be written; 4 nothing was measured, or nothing decides a budget or a
verdict that was asked for; 130 interrupted."""


def entry() -> None:
    """The console script: every error of ours is one sentence on stderr and its exit code."""
    try:
        code, last_words = outcome(handled())
        ignored()
    except Interrupted as error:  # after the work was done
        code, last_words = error.exit_code, f"loadtest: {error}"
    ignored()
    if last_words:
        say(last_words, err=True)
    sys.exit(code)


def outcome(interrupts: Interrupts) -> tuple[int, str]:
    """Exit code and what is said about it."""
    try:
        code = main(standalone_mode=False, obj=interrupts)
    except LoadtestError as error:
        return error.exit_code, f"loadtest: {error}"
    except click.exceptions.NoArgsIsHelpError as error:
        return error.exit_code, error.format_message()
    except click.ClickException as error:
        return error.exit_code, f"loadtest: {' '.join(error.format_message().split())}"
    except OSError as error:  # a folder that may not be looked into, a disk that is gone
        return ResultsError.exit_code, f"loadtest: {error}"
    except SystemExit:
        # Not standalone, click ends so for one reason only: nobody reads its help any more.
        return 0, ""
    return code if isinstance(code, int) else 0, ""


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Whoever read our output may have seen enough, as ``head`` has: the work goes on without."""
    try:
        click.echo(text, err=err, nl=nl)
    except BrokenPipeError:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, (sys.stderr if err else sys.stdout).fileno())
        os.close(nobody)


def _tell_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from loadtest.provenance import versions

        say(f"loadtest {versions()['connection-pressure']}")
        ctx.exit()


@click.group(cls=Commands, epilog=ENDED, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version.",
)
def main() -> None:
    """How many connections does MySQL behind serverless functions survive, and with which strategy?"""


@main.command(epilog=ENDED)
@click.argument("scenario", default="quick")
@click.option("--strategies", help="comma-separated; also package.module:attribute, name=…, a:0.3+b:0.7")
@server_option
@plan_options
@click.option("--out", type=click.Path(path_type=Path), help="the run folder  [results/TIME-SCENARIO]")
@click.option("--json", "as_json", is_flag=True, help="print the summary as JSON instead of the table")
@budget_options
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="of what is said on stderr meanwhile; json: an object a line",
)
@click.pass_obj
def bench(
    interrupts: Interrupts,
    /,
    scenario: str,
    strategies: str | None,
    choice: str,
    out: Path | None,
    as_json: bool,
    budgets: tuple[str, ...],
    baseline: Path | None,
    log_format: str,
    **given: Any,
) -> int:
    """Run every strategy of SCENARIO against a real server and say what happened.

    SCENARIO is one of `loadtest scenarios` or a TOML file of your own.
    """
    from loadtest.bench import Bench
    from loadtest.fleet.strategies import arm_name
    from loadtest.gate import read_gate

    plan = plan_of(scenario, strategies, given)
    gate = read_gate(budgets, baseline, [arm_name(text) for text in plan.strategies], ran=False)
    path = out or Path("results") / f"{time.strftime('%Y%m%d-%H%M%S')}-{plan.scenario}"
    _warn_of_password(choice)
    teller = Teller(say, as_json=log_format == "json", on_terminal=sys.stderr.isatty())
    run = Bench(plan, choice, path, interrupts, teller.progress, [b.text for b in gate.budgets])
    try:
        run.run()
    except LoadtestError as error:
        if run.measured:
            _show_what_there_is(run.folder, as_json, f"the run did not end by itself: {error}")
        raise
    return _gated(run.folder, gate, as_json, teller)


def _warn_of_password(choice: str) -> None:
    if "://" in choice and ":" in choice.split("://", 1)[1].rpartition("@")[0]:
        seen = "other users of this machine can read a password on the command line"
        say(f"loadtest: warning: {seen}; leave it out and set LOADTEST_PASSWORD", err=True)


@main.command(epilog=ENDED)
@click.argument("scenario", default="burst")
@click.option("--strategy", help="that the form begins with; also package.module:attribute, name=…, mixes")
@server_option
@plan_options
@click.option("--host", default="127.0.0.1", show_default=True, help="that the page listens on")
@click.option("--port", type=click.IntRange(1, 65535), default=8089, show_default=True)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True,
    help="where each test's run folder goes",
)  # fmt: skip
@click.pass_obj
def web(
    interrupts: Interrupts, /, scenario: str, strategy: str | None, choice: str, host: str, port: int,
    results: Path, **given: Any,
) -> None:  # fmt: skip
    """Open Locust's web page with a server beside it: watch connections run out, or not.

    The form begins with SCENARIO, one of `loadtest scenarios` or a TOML file of your own.
    """
    from loadtest.web import Web

    plan = plan_of(scenario, strategy or "managed", given)
    if len(plan.strategies) > 1:
        raise UsageError("the page runs one strategy at a time: choose another in its form")
    _warn_of_password(choice)
    Web(plan, choice, results, (host, port), interrupts, say).run()


def _gated(folder: "RunFolder", gate: "Gate", as_json: bool, teller: Teller) -> int:
    """Writes the reports, shows them, judges the budgets; the exit code."""
    from loadtest.gate import add_to_job_summary, annotations, exit_code
    from loadtest.report.files import write_report
    from loadtest.report.render.budgets import line

    summary, outcomes = write_report(folder, gate.judge)
    _print_summary(summary, folder.path, as_json)
    for outcome in outcomes:
        teller.event("budget", line(outcome), budget=outcome.budget.text, state=outcome.state)
    for text in (*annotations(outcomes), add_to_job_summary(folder.report_md)):
        if text:
            say(text, err=True)
    return exit_code(outcomes)


def _show_what_there_is(folder: "RunFolder", as_json: bool, warning: str) -> None:
    """What ended the run is what matters: that nothing can be shown is no second error."""
    from loadtest.report.files import write_report

    with suppress(LoadtestError):
        folder.add_warning(warning)
        _print_summary(write_report(folder)[0], folder.path, as_json)


def _print_summary(summary: dict[str, Any], path: Path, as_json: bool) -> None:
    if as_json:
        say(json.dumps(summary, indent=1))
        return
    from loadtest.report.render.terminal import text

    say(text(summary, width=_width(), color=_color()), nl=False)
    say(f"\nrun folder: {path}")


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns


def _color() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@main.command(epilog=ENDED)
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print the summary as JSON instead of the table")
@budget_options
def report(path: Path, as_json: bool, budgets: tuple[str, ...], baseline: Path | None) -> int:
    """Make a run's summary and reports again from its rows, show them, and judge its budgets."""
    from loadtest.gate import read_gate, stored_gate
    from loadtest.store import RunFolder

    folder = RunFolder.open(path)
    if budgets:
        gate = read_gate(budgets, baseline, folder.arms(), ran=True)
    else:
        gate = stored_gate(folder.budgets(), baseline)
    return _gated(folder, gate, as_json, Teller(say, as_json=False, on_terminal=False))


@main.command("compare-reports", epilog=ENDED)
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BASE CANDIDATE [MORE]…"
)
@compare_options
def compare_reports(runs: tuple[Path, ...], **given: Any) -> int:
    """What changed between runs, and whether the evidence carries it.

    Each is a run folder, a name like `results/latest`, or a summary.json. The first is the base. With
    --arms A:B one run will do.
    """
    from loadtest.comparing import Request, compare_runs
    from loadtest.report.render.figures import plain

    found = compare_runs(Request(runs=runs, width=_width(), color=_color(), **given))
    say(found.text, nl=False)
    for line in found.complaints:
        say(f"loadtest: {plain(line)}", err=True)
    return found.exit_code


@main.command()
def scenarios() -> None:
    """List the scenarios of the package."""
    for name in scenario_names():
        say(f"{name:<9} {read_scenario(name).get('description', '')}")


@main.group(cls=Commands)
def server() -> None:
    """A server to try things on, until it is taken down."""


@server.command()
@click.option("--server", "choice", default="auto", show_default=True, help="auto, docker or local")
@click.option("--max-connections", type=int, default=90, show_default=True)
def up(choice: str, max_connections: int) -> None:
    """Start one; prints the environment that `locust -f locustfiles/…` reads."""
    from loadtest.server.launch import up as start

    target = start(choice, max_connections)
    for warning in target.warnings:
        say(f"loadtest: warning: {warning}", err=True)
    say(exports(target))


def exports(target: "Target") -> str:
    """For ``eval``."""
    return f"export LOADTEST_DSN='{target.functions.url()}'\nexport LOADTEST_ADMIN_DSN='{target.admin.url()}'"


@server.command()
def down() -> None:
    """Take down what `up` started."""
    from loadtest.server.launch import down as stop

    gone = stop()
    say("\n".join(f"took down {name}" for name in gone) or "no server was up")


__all__ = ["STRATEGIES", "UsageError", "entry", "main"]
