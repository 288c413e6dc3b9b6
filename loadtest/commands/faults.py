"""``loadtest faults``."""

import click

from loadtest.commands.output import EXIT_CODES, say
from loadtest.settings.fault import FORM, KINDS


@click.command(epilog=EXIT_CODES)
def faults() -> None:
    """List what the option --fault of `loadtest bench` can do to the server and the network."""
    say(f"--fault {FORM}\n")
    for name, kind in KINDS.items():
        lasts = f"{kind.lasts_s:g} s" if kind.lasts_s else "over at once"
        say(f"{name:17} {kind.about}")
        for key, value in kind.values.items():
            say(f"{'':17}   {key}={value.default:g}: {value.about} ({value.least:g} to {value.most:g})")
        say(f"{'':17}   {lasts} unless +DURATION says otherwise; needs {kind.needs.value}")
