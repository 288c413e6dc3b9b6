"""``loadtest web``."""

from pathlib import Path
from typing import Any

import click

from loadtest.bench.interrupts import Interrupts
from loadtest.commands.options import (
    allow_remote_option,
    harm_agreed,
    plan_of,
    plan_options,
    server_option,
    via_option,
    warn_of_password,
)
from loadtest.commands.output import EXIT_CODES, say
from loadtest.errors import UsageError
from loadtest.server.choice import ServerChoice


@click.command(epilog=EXIT_CODES)
@click.argument("scenario", default="burst")
@click.option(
    "--strategy",
    help="the strategy that the form starts with: a built-in name, package.module:attribute for your own, "
    "NAME=… to name it, a:0.3+b:0.7 for a mixed fleet  [managed]",
)
@via_option
@server_option
@allow_remote_option
@plan_options(without=["workers"])
@click.option("--host", default="127.0.0.1", show_default=True, help="the address that the page listens on")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8089,
    show_default=True,
    help="the port that the page listens on",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="the folder that gets a run folder for each test",
)
@click.pass_obj
def web(
    interrupts: Interrupts, /, scenario: str, strategy: str | None, via: tuple[str, ...],
    choice: ServerChoice, allow_remote: bool, host: str, port: int, results: Path, **given: Any,
) -> None:  # fmt: skip
    """Open Locust's web page with a server beside it, and watch connections run out, or not.

    The form starts with SCENARIO, one of `loadtest scenarios` or a TOML file of your own.
    """
    from loadtest.bench.page import Web

    plan = plan_of(scenario, strategy or "managed", given, via=via)
    if len(plan.strategies) > 1:
        raise UsageError("the page runs one strategy at a time: choose another in its form")
    if plan.workers:
        raise UsageError(
            f"scenario {scenario} has workers, which only loadtest bench takes: give the page --processes"
        )
    if plan.faults:
        raise UsageError(f"scenario {scenario} has faults, which only loadtest bench takes")
    if plan.pause_after_s:
        raise UsageError("a database that pauses (pause-after) is for loadtest bench only")
    harm = harm_agreed(choice, plan, allow_remote=allow_remote, total="or whatever the form says")
    warn_of_password(choice)
    if harm:
        say(f"loadtest: {harm}", err=True)
    Web(plan, choice, results, (host, port), interrupts, say).run()
