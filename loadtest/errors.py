"""Our own few exceptions. Each message is for a person: what happened, why, what to do next."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path


class LoadtestError(Exception):
    """Ends a command with ``exit_code`` and its message on stderr, never with a traceback."""

    exit_code = 1


class UsageError(LoadtestError):
    """What was asked for cannot be: an unknown name, an impossible value, a bad file."""

    exit_code = 2


class MissingHere(UsageError):
    """A runtime or packages that a strategy needs are not on this machine: others can run without it."""

    check_code = 5  # of the process that checks a strategy

    def __init__(self, message: str, npm_folder: str = "", packages: Sequence[str] = ()) -> None:
        """``message`` says what to do about it.

        ``npm_folder`` is where npm can install the ``packages``; "" where that is not for us to do.
        """
        super().__init__(message)
        self.npm_folder = npm_folder
        self.packages = list(packages)


class ServerUnavailable(LoadtestError):
    """No server could be had: refused, wrong password, missing rights, nothing installed."""

    exit_code = 3


class ServerLost(LoadtestError):
    """The server went away in the middle of a run."""

    exit_code = 3


class WorkersMissing(LoadtestError):
    """The workers that were to make the load did not come, cannot make it, or are too many."""

    exit_code = 3


class ResultsError(LoadtestError):
    """The results could not be written."""

    exit_code = 3


CANNOT_WRITE = "cannot write"
ADVICE_ENDS = ("--out", "--processes")  # of what `cannot_write` says; a full disk cuts it short in a log


def cannot_write(path: Path, error: OSError) -> ResultsError:
    """The error to raise, with advice by its number: pyarrow words it otherwise than the system."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    what_next = "free some space, or choose a folder that you may write to with --out"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        what_next = (
            "its connections have taken them all: raise the limit (ulimit -Hn) or use more --processes"
        )
    return ResultsError(f"{CANNOT_WRITE} {path}: {reason}; {what_next}")


class NothingMeasured(LoadtestError):
    """A verdict or a summary was asked for, and no figure carries it."""

    exit_code = 4


class Interrupted(LoadtestError):
    """SIGINT or SIGTERM; what was measured so far is kept."""

    exit_code = 130
