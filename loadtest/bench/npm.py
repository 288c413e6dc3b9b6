"""npm installs what a Node.js function needs, before a run."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtest.bench import process_group
from loadtest.errors import UsageError
from loadtest.server.signals import undisturbed

INSTALL_S = 300.0
WAIT_S = 2 * INSTALL_S  # for another run that installs
LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
OPTIONS = ("--omit=dev", "--no-audit", "--no-fund")
PREFIXES = ("npm error", "npm ERR!")  # of newer ones, and of older
# Lines of npm's that say no reason: a code, its parts, and where its log is.
NO_REASON = ("code ", "syscall ", "errno ", "path ", "dest ", "A complete log", "at ")


def is_here() -> bool:
    return shutil.which("npm") is not None


@contextmanager
def alone_in(folder: str, note: Callable[[str], None]) -> Iterator[None]:
    """No other run installs in ``folder`` meanwhile; ``note`` is told if that has to be waited for.

    Raises :class:`UsageError` if the folder cannot be opened, or stays locked for :data:`WAIT_S` seconds.
    """
    try:
        # The folder itself is locked, so that no file stays behind in it.
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from None
    try:
        if not _locked(descriptor):
            note(f"waiting for another run, which installs in {folder}")
            until = time.monotonic() + WAIT_S
            while not _locked(descriptor):
                if time.monotonic() > until:
                    raise UsageError(f"another run has been installing in {folder} for {WAIT_S:g} s")
                time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks: npm itself can bear another one beside it
        return True
    return True


def install(folder: str, packages: Sequence[str], note: Callable[[str], None]) -> None:
    """Installs what the package.json in ``folder`` names; just as its lock file says, if it has one.

    Args:
        folder: where it is.
        packages: the missing ones, for the message.
        note: told before it begins.

    Raises:
        UsageError: npm failed, with its reason, or did not end in :data:`INSTALL_S` seconds.
    """
    note(f"installing {', '.join(packages)} with npm in {folder}")
    is_pinned = any(Path(folder, lock).exists() for lock in LOCKS)
    words = ["npm", "ci", *OPTIONS] if is_pinned else ["npm", "install", *OPTIONS, "--no-package-lock"]
    with tempfile.TemporaryDirectory(prefix="loadtest-npm-") as scratch:
        log = Path(scratch, "npm.log")
        npm = None
        try:
            with undisturbed():  # a signal between its start and our knowing of it would leave it behind
                npm = process_group.start(words, Path(folder), log, os.environ)
            code = npm.wait(INSTALL_S)
        except subprocess.TimeoutExpired:
            raise UsageError(f"npm did not end in {INSTALL_S:g} s in {folder}") from None
        finally:
            if npm is not None:
                with undisturbed():
                    process_group.end(npm)
        if code:
            raise UsageError(f"npm failed in {folder}: {_reason(log)}")


def _reason(log: Path) -> str:
    """The first line of npm's that says one; else its last line, whatever it is."""
    for line in log.read_text("utf-8", "replace").splitlines():
        prefix = next((prefix for prefix in PREFIXES if line.startswith(prefix)), "")
        said = line.removeprefix(prefix).strip()
        if prefix and said and not said.startswith(NO_REASON):
            return said
    return process_group.last_line(log)
