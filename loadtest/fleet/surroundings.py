"""What the environment of a Locust process says: the server, and where results go."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError


def results_path(arm: str) -> Path:
    """``LOADTEST_OUT``, else a name of time and arm in ``LOADTEST_RESULTS``; free in any case."""
    given = os.environ.get("LOADTEST_OUT")
    home = Path(os.environ.get("LOADTEST_RESULTS") or "results")
    return free_path(Path(given) if given else home / f"{time.strftime('%Y%m%d-%H%M%S')}-{arm}")


def describe() -> dict[str, Any]:
    """Version and size of the server; its tables are made, too. The bench has done that already.

    Raises :class:`ServerUnavailable` or :class:`UsageError`.
    """
    known = os.environ.get("LOADTEST_SERVER")
    if known:
        return dict(json.loads(known))
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.server.prepare"], capture_output=True, text=True, check=False
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
