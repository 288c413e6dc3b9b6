"""``loadtest server up`` and ``loadtest server down``."""

from typing import TYPE_CHECKING

import click

from loadtest.commands.options import Commands
from loadtest.commands.output import say
from loadtest.server.choice import ServerChoice

if TYPE_CHECKING:
    from loadtest.server.target import Target


@click.group(cls=Commands)
def server() -> None:
    """Start a server to try things on, and take it down."""


@server.command()
@click.option(
    "--server",
    "choice",
    default="auto",
    show_default=True,
    help="the kind of server to start: auto, docker or local",
)
@click.option(
    "--max-connections",
    type=int,
    default=90,
    show_default=True,
    help="how many connections the server takes",
)
def up(choice: str, max_connections: int) -> None:
    """Start a server. Prints the environment that `locust -f locustfiles/…` reads."""
    from loadtest.server.launch import up as start

    target = start(ServerChoice.parse(choice), max_connections)
    for warning in target.warnings:
        say(f"loadtest: warning: {warning}", err=True)
    say(exports(target))


def exports(target: "Target") -> str:
    """Lines for ``eval``."""
    return f"export LOADTEST_DSN='{target.functions.url()}'\nexport LOADTEST_ADMIN_DSN='{target.admin.url()}'"


@server.command()
def down() -> None:
    """Take down what `up` started."""
    from loadtest.server.launch import down as stop

    gone = stop()
    say("\n".join(f"took down {name}" for name in gone) or "no server was up")
