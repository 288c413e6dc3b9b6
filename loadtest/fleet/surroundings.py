"""What is around a Locust process: the server, where results go, how many files it may open."""

import json
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError

KERNELS_OPEN_FILES = 1_048_576  # fs.nr_open of Linux
MACOS_OPEN_FILES = 10_240  # OPEN_MAX of macOS


def results_path(arm: str) -> Path:
    """``LOADTEST_OUT``, else a name of time and arm in ``LOADTEST_RESULTS``; free in any case."""
    given = os.environ.get("LOADTEST_OUT")
    home = Path(os.environ.get("LOADTEST_RESULTS") or "results")
    return free_path(Path(given) if given else home / f"{time.strftime('%Y%m%d-%H%M%S')}-{arm}")


def describe(tls: str) -> dict[str, Any]:
    """Version and size of the server; its tables are made, too. The bench has done that already.

    ``tls``, on or off: how functions come.

    Raises :class:`ServerUnavailable` or :class:`UsageError`.
    """
    known = os.environ.get("LOADTEST_SERVER")
    if known:
        return dict(json.loads(known))
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.server.prepare", tls], capture_output=True, text=True, check=False
    )
    if done.returncode:
        kind = UsageError if done.returncode == UsageError.exit_code else ServerUnavailable
        raise kind(done.stderr.strip() or "the server could not be prepared")
    return dict(json.loads(done.stdout))


def server_from_environment(name: str) -> Dsn:
    """Raises :class:`ServerUnavailable` when it is not set."""
    text = os.environ.get(name)
    if not text:
        raise ServerUnavailable(
            f"no server: set {name} to mysql://user:password@host:port/database, "
            "or run `loadtest server up`, which prints it"
        )
    return Dsn.parse(text)


def free_path(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that is not taken."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


def allow_open_files() -> None:
    """As many as there may be, since a connection is one. What the system refuses stays as it was."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Without a limit of ours there is one of the kernel all the same: macOS refuses "unlimited", Linux
    # what is above fs.nr_open.
    for soft in (hard, KERNELS_OPEN_FILES, MACOS_OPEN_FILES):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return
