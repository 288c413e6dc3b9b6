"""The origin of a run: machine, versions, and the command that repeats it."""

import os
import platform
import shlex
import sys
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


def repeat_command(words: list[str]) -> str:
    """The command as it was typed, without the password of a DSN. ``words`` are ``sys.argv``'s."""
    shown = []
    for word in words[1:]:
        option, sep, value = word.rpartition("=") if word.startswith("--server=") else ("", "", word)
        if "://" in value:
            try:
                value = str(Dsn.parse(value))
            except UsageError:
                value = "mysql://…"
        shown.append(f"{option}{sep}{value}")
    return shlex.join(["loadtest", *shown])
