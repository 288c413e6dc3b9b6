"""``loadtest doctor``."""

import click

from loadtest.commands.output import EXIT_CODES, say
from loadtest.dsn import Dsn
from loadtest.errors import UsageError
from loadtest.settings.durations import duration_s

ASLEEP = "10m"


@click.command(epilog=EXIT_CODES)
@click.argument("server", required=False, metavar="[DSN]")
@click.option(
    "--asleep",
    default=ASLEEP,
    show_default=True,
    metavar="DURATION",
    help="a connection that has slept for so long is probably a zombie: its container has been reaped",
)
@click.option(
    "--scenario",
    "as_scenario",
    is_flag=True,
    help="print a scenario file with as many connections at once as the server has seen, and nothing else",
)
def doctor(server: str | None, asleep: str, as_scenario: bool) -> None:
    """Say who holds a database's connections, and which of them are probably zombies.

    DSN is mysql://user@host:port/database; its password may come from LOADTEST_PASSWORD. Nothing is written
    there, and PROCESS is the only right that it can use. Without a DSN: what this machine has of all that
    loadtest can use, and what installs the rest.
    """
    from loadtest.commands.checkup_text import checkup_text, scenario_text

    if server is None:
        if as_scenario:
            raise UsageError("--scenario is of a database: name it, mysql://user@host/database")
        from loadtest.server.machine_check import machine_lines

        for line in machine_lines():
            say(line)
        return
    try:
        asleep_s = duration_s(asleep)
    except UsageError as error:
        raise UsageError(f"asleep: {error}") from None
    from loadtest.server.checkup import check_up
    from loadtest.server.connections import with_password

    found = check_up(with_password(Dsn.parse(server)))
    say(
        (
            scenario_text(found) if as_scenario else checkup_text(found, asleep_s, server_named(server))
        ).rstrip()
    )


def server_named(text: str) -> str:
    """The DSN in ``text`` without its password, as one may repeat it."""
    dsn = Dsn.parse(text)
    host = f"[{dsn.host}]" if ":" in dsn.host else dsn.host
    return f"mysql://{dsn.user}@{host}:{dsn.port}/{dsn.database}"
