"""Every option may come from an environment variable: LOADTEST_BENCH_DURATION is bench's --duration."""

import click


class Lines(click.types.StringParamType):
    """Of an option that may be repeated, a line each: a budget has blanks in it."""

    envvar_list_splitter = "\n"


def name_variables(group: click.Group, prefix: str = "LOADTEST") -> None:
    """Gives each option of the commands of ``group`` its variable, ``prefix``, command and option.

    By the name that one writes, and not by that of our parameter.
    """
    for name, command in group.commands.items():
        of_command = f"{prefix}_{_word(name)}"
        if isinstance(command, click.Group):
            name_variables(command, of_command)
        for option in command.params:
            if isinstance(option, click.Option) and option.opts[0].startswith("--"):
                option.envvar = f"{of_command}_{_word(option.opts[0][2:])}"
                if option.multiple and isinstance(option.type, click.types.StringParamType):
                    option.type = Lines()


def _word(name: str) -> str:
    return name.replace("-", "_").upper()
