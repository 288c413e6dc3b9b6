"""Forks of this process. A connection that was opened before the last one belongs to the parent."""

import os
from typing import Any

count = 0  # between the first process and this one
_never_collected: list[Any] = []


def _became_a_child() -> None:
    global count
    count += 1


# One hook for all managers: no statement has to ask the kernel for the process id.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_became_a_child)


def let_go(connection: Any) -> None:
    """Gives up a parent's ``connection`` without sending anything, even when it would be collected.

    PyMySQL's close without COM_QUIT closes this process's descriptor only, also with TLS. Other libraries
    say goodbye in their destructors, so their connection is kept for as long as this process lives.
    """
    if hasattr(connection, "_force_close"):
        connection._force_close()
    else:
        _never_collected.append(connection)
