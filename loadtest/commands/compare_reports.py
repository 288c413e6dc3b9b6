"""``loadtest compare-reports``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from loadtest.commands.output import EXIT_CODES, say, terminal_width, with_color


class Percent(click.ParamType[float]):
    """``5%`` or 0.05, as a share."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """``value`` is the word of the command line, or a default; ``param`` and ``ctx`` are click's.

        Raises click's error for anything but a share from 0 to below 1.
        """
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share < 1:
            self.fail(f"{text!r} is no share like 5% or 0.05, below 100%", param, ctx)
        return share


PERCENT = Percent()


def compare_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives ``command`` the options that it alone has."""
    chosen = (
        click.option(
            "--arms",
            "pairs",
            multiple=True,
            metavar="A:B",
            help="compare arm A of BASE with arm B of CANDIDATE; repeatable  [arms that both have]",
        ),
        click.option(
            "--html",
            type=click.Path(path_type=Path, dir_okay=False),
            help="write a page with plots to a file",
        ),
        click.option(
            "--md",
            type=click.Path(path_type=Path, dir_okay=False),
            help="write Markdown for a pull request",
        ),
        click.option(
            "--junit",
            type=click.Path(path_type=Path, dir_okay=False),
            help="write JUnit XML, with a case for each gating measure",
        ),
        click.option("--json", "as_json", is_flag=True, help="print JSON instead of tables"),
        click.option(
            "--threshold",
            type=PERCENT,
            default="5%",
            show_default=True,
            help="the smallest change of a latency that matters, as a share of it",
        ),
        click.option(
            "--threshold-ratio",
            type=PERCENT,
            default="0.5%",
            show_default=True,
            help="the smallest change of a ratio that matters, in percentage points",
        ),
        click.option(
            "--normalise",
            metavar="ARM",
            help="divide latencies by those of this arm of their run, as in ideal",
        ),
        click.option("--strict", is_flag=True, help="end with 4 if there is any warning"),
        click.option(
            "--fail-on",
            multiple=True,
            metavar="regression|MEASURE",
            help="end with 1 if a gating measure, or this one, is worse; repeatable  [none]",
        ),
    )
    for option in reversed(chosen):
        command = option(command)
    return command


@click.command("compare-reports", epilog=EXIT_CODES)
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BASE CANDIDATE [MORE]…"
)
@compare_options
def compare_reports(runs: tuple[Path, ...], **given: Any) -> int:
    """Show what changed between runs, and whether the evidence supports it.

    Each run is a run folder, a link such as `results/latest`, or a summary.json. The first is the base. One
    run is enough with --arms A:B.
    """
    from loadtest.commands.comparison import Request, compare_runs
    from loadtest.report.wording import plain

    found = compare_runs(Request(runs=runs, width=terminal_width(), color=with_color(), **given))
    say(found.text, nl=False)
    for line in found.complaints:
        say(f"loadtest: {plain(line)}", err=True)
    return found.exit_code
