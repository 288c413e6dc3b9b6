"""``loadtest scenarios``."""

import click

from loadtest.commands.output import say
from loadtest.settings.scenario import read_scenario, scenario_names


@click.command()
def scenarios() -> None:
    """List the scenarios of the package."""
    for name in scenario_names():
        say(f"{name:<9} {read_scenario(name).get('description', '')}")
