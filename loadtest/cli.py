"""The entry point: every command, and how each ends."""

import sys
from pathlib import Path

import click

from loadtest.bench.interrupts import Interrupts, handled, ignored
from loadtest.commands.bench import bench
from loadtest.commands.capacity import capacity
from loadtest.commands.compare_reports import compare_reports
from loadtest.commands.completion import completion
from loadtest.commands.doctor import doctor
from loadtest.commands.environment import name_variables
from loadtest.commands.faults import faults
from loadtest.commands.options import Commands
from loadtest.commands.output import EXIT_CODES, say
from loadtest.commands.prices import prices
from loadtest.commands.profiles import profiles
from loadtest.commands.project_defaults import project_defaults
from loadtest.commands.report import report
from loadtest.commands.scenarios import scenarios
from loadtest.commands.server import server
from loadtest.commands.web import web
from loadtest.commands.worker import worker
from loadtest.errors import Interrupted, LoadtestError, ResultsError


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
    """Runs the command that ``sys.argv`` names. Returns the exit code, and what to say about it."""
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


def _say_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from loadtest.results.provenance import versions

        say(f"loadtest {versions()['connection-pressure']}")
        ctx.exit()


@click.group(
    cls=Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="show the version and exit",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """How many connections does MySQL behind serverless functions survive, and with which strategy?

    What is not given on the command line may come from the environment (LOADTEST_BENCH_DURATION=5s is bench's
    --duration), or from pyproject.toml ([tool.loadtest.bench], duration = "5s").
    """
    assert isinstance(ctx.command, click.Group)  # noqa: S101 - this one
    ctx.default_map = project_defaults(ctx.command, Path.cwd())


for command in (
    bench, capacity, worker, web, report, compare_reports, scenarios, faults, profiles, prices, doctor,
    server, completion,
):  # fmt: skip
    main.add_command(command)
name_variables(main)
