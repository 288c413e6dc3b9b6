"""``loadtest prices``."""

import click

from loadtest.commands.output import EXIT_CODES, say
from loadtest.settings.prices import prices_text


@click.command(epilog=EXIT_CODES)
def prices() -> None:
    """Print what things cost, as a file with other figures for --prices would have it."""
    say(prices_text().rstrip())
