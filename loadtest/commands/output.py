"""What commands print: the only module that does."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadtest.results.summary import Summary

EXIT_CODES = """\
Exit codes: 0 done; 1 a budget is missed or a regression was found; 2 wrong usage or a bad file; 3 no server
was available, it was lost, workers did not come, or the results could not be written; 4 nothing was measured,
or a budget or a verdict that you asked for rests on figures that are missing or invalid; 130 interrupted."""


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Prints ``text`` to stdout, or to stderr if ``err``; ends the line if ``nl``.

    A reader who has seen enough, as ``head`` has, does not end the work.
    """
    try:
        click.echo(text, err=err, nl=nl)
    except BrokenPipeError:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, (sys.stderr if err else sys.stdout).fileno())
        os.close(nobody)


def say_summary(summary: "Summary", path: Path, as_json: bool) -> None:
    """A run's summary: JSON if ``as_json``, else a table with ``path``, the run's folder."""
    if as_json:
        from loadtest.results import summary as schema

        say(json.dumps(schema.as_json(summary), indent=1))
        return
    from loadtest.report.render.terminal import run_text

    say(run_text(summary, width=terminal_width(), color=with_color()), nl=False)
    say(f"\nrun folder: {path}")


def say_capacity(summary: "Summary", path: Path, as_json: bool) -> None:
    """What a search found: JSON if ``as_json``, else its tables with ``path``, the run's folder."""
    from loadtest.report.render.capacity_text import capacity_text, found

    if as_json:
        import msgspec

        arms = {arm: msgspec.to_builtins(one) for arm, one in found(summary).items()}
        say(json.dumps({"schema": summary.schema, "arms": arms}, indent=1))
        return
    say(capacity_text(summary, width=terminal_width(), color=with_color()), nl=False)
    say(f"\nrun folder: {path}")


def terminal_width() -> int:
    """In characters."""
    return shutil.get_terminal_size((120, 24)).columns


def with_color() -> bool:
    """Whether stdout is a terminal whose user has not opted out: no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
