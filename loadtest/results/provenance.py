"""The origin of a run: machine, versions, and the command that repeats it."""

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from loadtest.dsn import Dsn
from loadtest.errors import UsageError


def machine() -> dict[str, Any]:
    """The machine of a run, in enough detail to tell runs of different machines apart."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cpus_count": os.cpu_count(),
        "host": platform.node(),
        "implementation": sys.implementation.name,
    }


def versions() -> dict[str, str]:
    """The versions of the packages that take part in the measurement."""
    found = {}
    for name in ("connection-pressure", "locust", "PyMySQL", "gevent"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "checkout"
    return found


def made_on(worker: int) -> dict[str, Any]:
    """Where and by what the rows of ``worker``, its place, were made."""
    return {"worker": worker, **machine(), "versions": versions()}


def repeat_command(words: list[str], environment: Mapping[str, str] = os.environ) -> str:
    """The command as it was typed, without the password of a DSN. ``words`` are ``sys.argv``'s.

    The options that came from the ``environment`` stand before it.
    """
    shown = []
    for word in words[1:]:
        option, sep, value = word.rpartition("=") if word.startswith("--server=") else ("", "", word)
        shown.append(f"{option}{sep}{_without_password(value)}")
    prefix = f"LOADTEST_{shown[0].replace('-', '_').upper()}_" if shown else "LOADTEST_"
    given = [
        f"{name}={shlex.quote(_without_password(value))}"
        for name, value in sorted(environment.items())
        if name.startswith(prefix)
    ]
    return " ".join([*given, shlex.join(["loadtest", *shown])])


def _without_password(value: str) -> str:
    if "://" not in value:
        return value
    try:
        return str(Dsn.parse(value))
    except UsageError:
        return "mysql://…"
