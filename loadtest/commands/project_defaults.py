"""A project's own defaults: ``[tool.loadtest.bench]`` and the like in its ``pyproject.toml``."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest

FILE = "pyproject.toml"


def project_defaults(group: click.Group, start: Path) -> dict[str, dict[str, Any]]:
    """For each command of ``group`` the values of its options, by click's names.

    They come from the first ``pyproject.toml`` in ``start`` or above it, if that has any. Raises
    :class:`UsageError` for a command or an option that is not there.
    """
    file = next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)
    if file is None:
        return {}
    try:
        tool = tomllib.loads(file.read_text("utf-8")).get("tool")
    except (OSError, ValueError, RecursionError):
        return {}  # of another program's making: it says what is wrong with it
    tables = tool.get("loadtest") if isinstance(tool, dict) else None
    if tables is None:
        return {}
    where = f"{file}, [tool.loadtest]"
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise UsageError(f"{where}: write a table for each command, as in [tool.loadtest.bench]")
    return {name: dict(_values(group, name, values, where)) for name, values in tables.items()}


def _values(
    group: click.Group, name: str, values: Mapping[str, Any], where: str
) -> Iterator[tuple[str, Any]]:
    command = group.commands.get(name)
    if command is None or isinstance(command, click.Group):
        known = [one for one, of in group.commands.items() if not isinstance(of, click.Group)]
        raise UsageError(f"{where}: no command {name!r} takes defaults{nearest(name, known)}")
    options = {
        flag.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option)
        for flag in option.opts
    }
    for key, value in values.items():
        option = options.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"{where}: {name} has no option {key!r}{nearest(key, options)}")
        assert option.name is not None  # noqa: S101 - click has given it one
        wrong = _wrong(option, value)
        if wrong:
            raise UsageError(f"{where}: {name}: {key} cannot be {value!r}: expected {wrong}")
        yield option.name, _as_given(option, value)


def _wrong(option: click.Option, value: Any) -> str:
    """What was expected instead of ``value``; "" if it will do."""
    if option.is_flag:
        return "" if isinstance(value, bool) else "true or false"
    several = value if isinstance(value, list) and option.multiple else [value]
    if all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in several):
        return ""
    return "texts or numbers" if option.multiple else "one text or number"


def _as_given(option: click.Option, value: Any) -> Any:
    """As a command line would have it, so that it is checked alike."""
    if option.is_flag:
        return value
    if option.multiple:
        return [*map(str, value)] if isinstance(value, list) else [str(value)]
    return str(value)
