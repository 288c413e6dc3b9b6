"""``loadtest completion``."""

import click
from click.shell_completion import get_completion_class

from loadtest.commands.output import EXIT_CODES, say

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_LOADTEST_COMPLETE"  # by which a shell asks the command itself, as click has it


@click.command(epilog=EXIT_CODES)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands and options.

    For bash: eval "$(loadtest completion bash)", in ~/.bashrc; for fish, loadtest completion fish | source.
    """
    script = get_completion_class(shell)
    assert script is not None, shell  # noqa: S101 - one of SHELLS
    # bash is asked for its version only to warn that it is too old.
    source = script(ctx.find_root().command, {}, "loadtest", VARIABLE)
    text = source.source_template % source.source_vars()
    say(text.rstrip())
