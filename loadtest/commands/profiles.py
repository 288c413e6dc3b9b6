"""``loadtest profiles``."""

import click

from loadtest.commands.output import EXIT_CODES, say
from loadtest.settings.profiles import PROFILES, READ


@click.command(epilog=EXIT_CODES)
def profiles() -> None:
    """List the databases as a service whose size the option --profile gives to a server."""
    say(f"{'--profile':20} {'max_connections':>15} {'CPUs':>6} {'GiB':>5}  source, read in {READ}")
    for one in PROFILES.values():
        say(f"{one.name:20} {one.max_connections:15,} {one.cpus:6g} {one.memory_gib:5g}  {one.source}")
