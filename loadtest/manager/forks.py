"""How often this process has become a child: a connection that is older belongs to its parent."""

import os
from typing import Any

count = 0  # of forks between the first process and this one
_never_collected: list[Any] = []


def _became_a_child() -> None:
    global count
    count += 1


# One for all managers, and nothing to ask the kernel for at a statement.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_became_a_child)


def let_go(connection: Any) -> None:
    """Of a parent's connection: without a word to the server, also when it would be collected.

    PyMySQL's closing without COM_QUIT closes this process's descriptor only, TLS included. Others say
    goodbye in their destructors, so theirs is kept for as long as this process lives.
    """
    if hasattr(connection, "_force_close"):
        connection._force_close()
    else:
        _never_collected.append(connection)
