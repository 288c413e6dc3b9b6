"""Words of the command line: commands, options, a plan's fields, and what was given there as a plan."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from loadtest.errors import UsageError
from loadtest.settings import Option, Plan, duration_text, nearest, options, plan_with


class Commands(click.Group):
    """Says the nearest name where there is no such command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            known = self.list_commands(ctx)
            raise UsageError(f"unknown command {word!r}{nearest(word, known)}; there are {', '.join(known)}")
        return super().resolve_command(ctx, args)


server_option = click.option(
    "--server",
    "choice",
    default="auto",
    show_default=True,
    help="auto, docker, local or mysql://user@host:port/database",
)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each field of a plan; what is not given is left to the scenario."""
    for option in reversed(list(options(Plan))):
        command = _click_option(option)(command)
    return command


def _click_option(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    shown = duration_text(option.default) if option.kind == "duration" else str(option.default)
    return click.option(
        f"--{option.name.replace('_', '-')}",
        option.field,
        metavar="|".join(option.choices)
        or {"float": "NUMBER", "int": "N"}.get(option.kind, option.kind.upper()),
        help=f"{option.help}  [{shown or 'none'}]",
    )


def plan_of(scenario: str, strategies: str | None, given: dict[str, Any]) -> Plan:
    """The command line before the scenario's file, and that before the defaults."""
    values = {
        option.name: given[option.field] for option in options(Plan) if given.get(option.field) is not None
    }
    if strategies is not None:
        values["strategies"] = [name.strip() for name in strategies.split(",") if name.strip()]
    return plan_with(scenario, values)


def budget_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Of the commands that judge a run."""
    command = click.option(
        "--baseline",
        type=click.Path(path_type=Path),
        help="a run that budgets may speak of as baseline.ARM.FIELD",
    )(command)
    return click.option(
        "--budget",
        "budgets",
        multiple=True,
        metavar="TEXT|FILE.toml",
        help="what must hold, as in 'managed.error_ratio == 0'; again for more. Else the command ends with 1",
    )(command)


class Percent(click.ParamType[float]):
    """``5%`` or 0.05, as a share."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
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
    """Of ``compare-reports``."""
    chosen = (
        click.option(
            "--arms",
            "pairs",
            multiple=True,
            metavar="A:B",
            help="arm A of BASE with arm B of CANDIDATE; again for more",
        ),
        click.option(
            "--html", type=click.Path(path_type=Path, dir_okay=False), help="write a page with plots"
        ),
        click.option(
            "--md", type=click.Path(path_type=Path, dir_okay=False), help="write Markdown, for a pull request"
        ),
        click.option(
            "--junit",
            type=click.Path(path_type=Path, dir_okay=False),
            help="write JUnit: a case per gating measure",
        ),
        click.option("--json", "as_json", is_flag=True, help="print JSON instead of the table"),
        click.option(
            "--threshold",
            type=PERCENT,
            default="5%",
            show_default=True,
            help="the smallest change of a time that matters",
        ),
        click.option(
            "--threshold-ratio",
            type=PERCENT,
            default="0.5%",
            show_default=True,
            help="the same of a ratio, in percentage points",
        ),
        click.option(
            "--normalise", metavar="ARM", help="divide times by this arm's of the same run, e.g. ideal"
        ),
        click.option("--strict", is_flag=True, help="any warning ends with 4"),
        click.option(
            "--fail-on",
            multiple=True,
            metavar="regression|MEASURE",
            help="end with 1 where a gating measure, or MEASURE, is worse",
        ),
    )
    for option in reversed(chosen):
        command = option(command)
    return command
