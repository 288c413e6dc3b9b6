"""Two free ports on 127.0.0.1: for the functions, and for the harness."""

import os
import re
import socket
from typing import NamedTuple

from loadtest.errors import ServerUnavailable, UsageError


class Ports(NamedTuple):
    functions: int
    admin: int


def choose() -> Ports:
    """``LOADTEST_PORT`` and ``LOADTEST_ADMIN_PORT`` if set, otherwise ports that are free at the moment.

    Raises :class:`ServerUnavailable` if a requested port is taken.
    """
    # both held at once, or they might be the same
    with socket.socket() as one, socket.socket() as two:
        return Ports(_bound(one, "LOADTEST_PORT"), _bound(two, "LOADTEST_ADMIN_PORT"))


def free() -> Ports:
    """Two ports that are free at the moment, for a proxy."""
    with socket.socket() as one, socket.socket() as two:
        for listener in (one, two):
            listener.bind(("127.0.0.1", 0))
        return Ports(int(one.getsockname()[1]), int(two.getsockname()[1]))


def fixed() -> bool:
    """Whether a certain port was asked for, so that trying another one makes no sense."""
    return bool(os.environ.get("LOADTEST_PORT") or os.environ.get("LOADTEST_ADMIN_PORT"))


def _bound(listener: socket.socket, variable: str) -> int:
    text = os.environ.get(variable, "") or "0"
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise UsageError(f"{variable} is {text!r}; a port is a number up to 65535")
    # As the servers do: a port in TIME_WAIT is free for them.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(text)))
        listener.listen()
    except OSError as error:
        raise ServerUnavailable(
            f"port {text} on 127.0.0.1 cannot be had ({error.strerror}): end what uses it, "
            f"or choose another in {variable}"
        ) from None
    return int(listener.getsockname()[1])
