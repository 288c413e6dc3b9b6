"""What this machine has of all that loadtest can use, and what installs the rest."""

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from loadtest.errors import ServerUnavailable
from loadtest.open_files import open_files_limit
from loadtest.server import compose, haproxy, local

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
FEW_FILES = 4_096  # less is soon not enough for a fleet
# What is not needed to begin with, and what it is for.
PROGRAMS = {
    "node": ("real functions in Node", "apt-get install nodejs npm"),
    "chromium": ("the project's own tests of its pages", "apt-get install chromium"),
}


def machine_lines() -> Iterator[str]:
    """A line for each thing: what is there, or what is missing, what for, and what installs it."""
    yield _there("Python", f"{platform.python_version()}, {os.cpu_count()} cores")
    limit = open_files_limit()
    advice = "" if limit >= FEW_FILES else f": few, each connection is one; ulimit -n {FEW_FILES} or more"
    yield _there("open files", f"{limit:,} in a process{advice}")
    if PORTS.exists():
        low, high = map(int, PORTS.read_text().split())
        yield _there("ports", f"{high - low + 1:,} for connections to one address")
    yield _docker()
    found = local.find()
    if found is None:
        yield _missing("a server", "--server local", local.install_command())
    else:
        yield _there("a server", f"{found.path} ({found.flavour}), for --server local")
    proxy = haproxy.find()
    yield (
        _there("haproxy", f"{proxy}, for --via haproxy")
        if proxy
        else _missing("haproxy", "--via haproxy", "apt-get install haproxy")
    )
    for name, (what_for, command) in PROGRAMS.items():
        path = shutil.which(name)
        yield _there(name, f"{path}, for {what_for}") if path else _missing(name, what_for, command)


def _docker() -> str:
    try:
        engine = compose.engine()
    except ServerUnavailable as error:
        return f"{'Docker':12} not usable, which --server docker needs: {error}"
    return _there("Docker", f"with Compose v2 and {engine.cpus_count} CPUs, for --server docker")


def _there(name: str, what: str) -> str:
    return f"{name:12} {what}"


def _missing(name: str, what_for: str, command: str) -> str:
    return f"{name:12} missing, which is for {what_for}: {command}"
