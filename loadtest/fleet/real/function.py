"""The function that a strategy names, as its files describe it: handler, environment, memory size, timeout.

``function.toml`` beside a function is optional. Each of its keys may be left out::

    handler = "app.handler"          # needed where the strategy names the folder only
    memory_mb = 256
    timeout = "3s"                   # without it, the run's --function-timeout
    python = "../venv/bin/python"    # relative to the folder; else the one of its .venv, or ours

    [environment]
    DB_HOST = "${MYSQL_HOST}"        # what the run sets, under the function's own name for it
"""

import tomllib
from pathlib import Path
from string import Template
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from loadtest.errors import UsageError
from loadtest.fleet.real.sam_template import Described, described_in
from loadtest.settings.durations import duration_s
from loadtest.settings.nearest import nearest
from loadtest.settings.plan import MEMORY_MB
from loadtest.settings.strategy import Part, real_function

FILE = "function.toml"
# Where a function finds its server, and the run's options that it may heed.
VARIABLES = (
    "MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DATABASE", "MYSQL_TLS", "WORK_MS",
)  # fmt: skip


class Function(Struct, frozen=True, kw_only=True):
    """``runtime`` is python, node or provided, ``handler`` as in Lambda, looked up from ``folder``.

    Values of ``environment`` may refer to :data:`VARIABLES` as ``${MYSQL_HOST}``. ``timeout_s`` None: the
    run's; ``python`` "": to be found; ``tags``: those of a template.
    """

    name: str
    runtime: str
    folder: Path
    handler: str
    environment: dict[str, str]
    memory_mb: int
    timeout_s: float | None
    python: str = ""
    tags: dict[str, str] = field(default_factory=dict)


class Beside(Struct, frozen=True, forbid_unknown_fields=True):
    """``function.toml``."""

    handler: str = ""
    memory_mb: Annotated[int, Meta(ge=MEMORY_MB, le=10_240)] | None = None
    timeout: str | float | None = None
    python: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def function_of(part: Part, home: str) -> Function:
    """The function of a real part; its path is relative to the folder ``home``.

    Raises :class:`UsageError` if a file is missing or wrong, and says what was expected.
    """
    runtime, text = real_function(part.spec)
    where = f"strategy {part.name!r}"
    if runtime == "sam":
        template, _, resource = text.partition("#")
        found = described_in(Path(home, template).absolute(), resource, where)
    else:
        found = _named(runtime, Path(home, text).absolute())
    file = found.folder / FILE
    beside = _read(file, where) if file.is_file() else Beside()
    handler = found.handler or beside.handler
    if runtime == "provided" and not handler:
        handler = "bootstrap"
    if not handler:
        raise UsageError(
            f"{where}: {text} is a folder; end the path in file.function, or name the handler in {file}"
        )
    environment = {**found.environment, **beside.environment}
    if "\0" in "".join([handler, beside.python, *environment, *environment.values()]):
        raise UsageError(f"{where}: {text}: handler, python and environment cannot have a NUL in them")
    given = {*VARIABLES, *beside.environment}
    left = {name: why for name, why in found.unresolved.items() if name not in given}
    if left:
        said = "; ".join(f"{_shown(name)} is {_shown(why)}" for name, why in left.items())
        raise UsageError(
            f"{where}: {text} has values that only AWS knows: {said}. Give them in {file}, [environment]"
        )
    return Function(
        name=part.name,
        runtime=found.runtime,
        folder=found.folder,
        handler=handler,
        environment=environment,
        memory_mb=beside.memory_mb or found.memory_mb or MEMORY_MB,
        timeout_s=found.timeout_s if beside.timeout is None else _timeout_s(beside.timeout, file, where),
        python=str(found.folder / beside.python) if beside.python else "",
        tags=found.tags,
    )


def _named(runtime: str, path: Path) -> Described:
    if path.is_dir():
        return Described(runtime, path, "")
    return Described(runtime, path.parent, path.name)


def _read(file: Path, where: str) -> Beside:
    try:
        found = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Beside)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"{where}: {file}: {error}") from None
    except RecursionError:
        raise UsageError(f"{where}: {file} is nested too deeply") from None
    for name, value in found.environment.items():
        _check_references(name, value, f"{where}: {file}")
    return found


def _check_references(name: str, value: str, where: str) -> None:
    template = Template(value)
    if not template.is_valid():
        raise UsageError(f"{where}: {_shown(name)} has a single $; write $$ for the character itself")
    for wanted in template.get_identifiers():
        if wanted not in VARIABLES:
            raise UsageError(
                f"{where}: {_shown(name)} refers to {wanted}{nearest(wanted, VARIABLES)}; there are "
                f"{', '.join(VARIABLES)}"
            )


def _shown(text: str) -> str:
    """On one line, whatever a file calls a variable."""
    return text if text.isprintable() else repr(text)


def _timeout_s(value: Any, file: Path, where: str) -> float:
    try:
        seconds = duration_s(value)
    except UsageError as error:
        raise UsageError(f"{where}: {file}: timeout: {error}") from None
    if not seconds:
        raise UsageError(f"{where}: {file}: timeout cannot be 0")
    return seconds


def with_values(environment: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    """``environment`` with its references to ``values``, by name, replaced."""
    return {name: Template(text).safe_substitute(values) for name, text in environment.items()}
