"""How many files a process may have open: each connection is one."""

import resource
from contextlib import suppress

KERNELS_OPEN_FILES = 1_048_576  # fs.nr_open of Linux
MACOS_OPEN_FILES = 10_240  # OPEN_MAX of macOS


def open_files_limit() -> int:
    """How many a process may have at most; a million where there is no limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_000_000 if hard == resource.RLIM_INFINITY else hard


def allow_open_files() -> None:
    """Raises the limit of open files as far as possible, since each connection is one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Without a limit of ours there is one of the kernel all the same: macOS refuses "unlimited", Linux
    # what is above fs.nr_open.
    for soft in (hard, KERNELS_OPEN_FILES, MACOS_OPEN_FILES):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return
