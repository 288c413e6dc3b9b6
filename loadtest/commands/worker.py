"""``loadtest worker``."""

import os

import click

from loadtest.bench.addresses import is_open
from loadtest.bench.interrupts import Interrupts
from loadtest.bench.meeting import PORT
from loadtest.commands.output import EXIT_CODES, say
from loadtest.errors import ServerUnavailable

TRIED_S = 5.0


@click.command(epilog=EXIT_CODES)
@click.option(
    "--master-host",
    default="127.0.0.1",
    show_default=True,
    help="the machine on which `loadtest bench` runs, with its option --workers",
)
@click.option(
    "--master-port",
    type=click.IntRange(1, 65535),
    default=PORT,
    show_default=True,
    help="the port on which it waits for workers",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="number of workers that this command runs, each a process that can fill one core",
)
@click.pass_obj
def worker(interrupts: Interrupts, /, master_host: str, master_port: int, processes: int) -> None:
    """Make a part of the load of `loadtest bench`, on this machine or another.

    It waits for a bench with the option --workers, takes part in every repetition, and waits for the next,
    until it is ended.
    LOADTEST_DSN and LOADTEST_PASSWORD name the server.
    """
    from loadtest.bench.workers import Workers

    Workers(processes, (master_host, master_port), _dsn(master_host), interrupts, say).run()


def _dsn(master_host: str) -> str:
    """The server with its password, after it has answered. Raises :class:`ServerUnavailable`."""
    from loadtest.dsn import Dsn
    from loadtest.server.connections import try_for, with_password

    text = os.environ.get("LOADTEST_DSN")
    if text:
        dsn = with_password(Dsn.parse(text))
        try_for(dsn, TRIED_S)
        return dsn.url()
    if is_open(master_host):
        raise ServerUnavailable(
            "no server: set LOADTEST_DSN to mysql://user@host:port/database as it is reached from here, and "
            "LOADTEST_PASSWORD; only a bench on this machine can name its own"
        )
    return ""
