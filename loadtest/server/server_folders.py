"""Folders of servers that we started. A lock on a file shows whether the owner is still alive.

The kernel releases the lock however the owner ends, and unlike a process id it cannot be reused by another
process. So a folder that is not locked was left by a dead owner, unless it has :data:`STATE`: then its
server is meant to stay.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loadtest.dsn import Dsn

LOCK = "owner.lock"
STATE = "standing.json"

# A Unix socket's path has room for 107 bytes; macOS's own temporary directory takes half of them.
LONGEST_BASE = 60


class Folder:
    """A locked folder, mode 0700. ``lock`` is the file descriptor that holds the lock."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def __repr__(self) -> str:
        return f"<Folder {self.path}{', standing' if (self.path / STATE).exists() else ''}>"

    @classmethod
    def create(cls) -> "Folder":
        """A new folder, which gets its final name once it is locked: before that it would look abandoned."""
        hidden = Path(tempfile.mkdtemp(prefix=f".{_prefix()}", dir=_bases()[0]))
        lock = _locked(hidden)
        assert lock is not None, f"{hidden} is new, and locked by another"  # noqa: S101
        path = hidden.with_name(hidden.name.removeprefix("."))
        return cls(hidden.rename(path), lock)

    def release(self) -> None:
        os.close(self._lock)

    def remove(self) -> None:
        """Releases the lock last, so that no other process cleans up at the same time."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()


_of_servers: dict[Dsn, Path] = {}  # that this process started, by their administrator's account


def remember(admin: Dsn, folder: Path) -> None:
    """``folder`` has the data of the server of ``admin``."""
    _of_servers[admin] = folder


def folder_of(admin: Dsn) -> Path | None:
    """None for a server that another process started."""
    return _of_servers.get(admin)


def standing() -> list[Path]:
    """Folders of servers that outlive the command that started them."""
    return [path for path in _ours() if (path / STATE).is_file()]


def abandoned() -> Iterator[Folder]:
    """Folders whose owner is dead. Each is locked; the caller has to remove or release it."""
    for path in _ours():
        if (path / STATE).is_file():
            continue
        lock = _locked(path)
        if lock is not None:
            yield Folder(path, lock)


def locked(path: Path) -> Folder | None:
    """Locks a folder; None if it is locked by another process, or gone."""
    lock = _locked(path)
    return None if lock is None else Folder(path, lock)


def _locked(path: Path) -> int | None:
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _prefix() -> str:
    return f"loadtest-{os.getuid()}-"


def _bases() -> list[Path]:
    preferred, short = Path(tempfile.gettempdir()), Path("/tmp")  # noqa: S108 - mkdtemp makes it private
    fits = len(os.fsencode(preferred)) <= LONGEST_BASE
    return list(dict.fromkeys([preferred, short] if fits else [short]))


def _ours() -> list[Path]:
    """Our folders, without links and without folders of other users that use our name."""
    found = [path for base in _bases() if base.is_dir() for path in base.glob(f"{_prefix()}*")]
    return sorted(path for path in found if _is_own_folder(path))


def _is_own_folder(path: Path) -> bool:
    try:
        seen = path.lstat()
    except FileNotFoundError:  # its owner is just removing it
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid()
