"""The rows of a worker on another machine: written there, and sent to the master with its last message."""

import shutil
import tempfile
from pathlib import Path

from loadtest.errors import LoadtestError
from loadtest.results.run_folder import Repetition


def is_shared(repetition: Repetition, token: str) -> bool:
    """Whether the master's folder, the one with ``token`` in it, is reachable here under the same path."""
    try:
        return bool(token) and repetition.read_meta().get("token") == token
    except (LoadtestError, OSError):
        return False


def own_folder() -> Repetition:
    """A local folder for rows that are sent to the master at the end."""
    return Repetition(Path(tempfile.mkdtemp(prefix="loadtest-worker-")) / "arms" / "worker" / "01").create()


def taken_home(repetition: Repetition) -> dict[str, bytes]:
    """The contents of :func:`own_folder`, which is removed."""
    try:
        return repetition.packed()
    finally:
        shutil.rmtree(repetition.path.parents[2], ignore_errors=True)
