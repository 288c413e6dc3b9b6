"""Addresses that we listen on, and how others reach them."""

import socket

from loadtest.errors import UsageError

EVERYWHERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def check_port(host: str, port: int, options: str) -> None:
    """Raises :class:`UsageError` if nobody can listen on ``port`` of ``host``; ``options`` choose others."""
    try:
        name = "0.0.0.0" if host == "*" else host  # noqa: S104
        family, *_, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {in_address(host)}:{port} ({reason}): choose another {options}"
        ) from None


def numeric(host: str) -> str:
    """``host`` as ZeroMQ takes it to listen on: a number, or ``*``. Only after :func:`check_port`."""
    return host if host == "*" else str(socket.getaddrinfo(host, None)[0][4][0])


def is_open(host: str) -> bool:
    """Whether a listener on ``host`` can be reached from other machines."""
    return host in EVERYWHERE or host not in ("127.0.0.1", "localhost", "::1")


def answers(host: str, port: int) -> bool:
    """Whether something accepts a TCP connection on ``port`` of ``host`` within a second."""
    try:
        with socket.create_connection((reachable(host), port), timeout=1.0):
            return True
    except OSError:
        return False


def reachable(host: str) -> str:
    """The name or address by which this machine reaches a listener on ``host``."""
    return EVERYWHERE.get(host, host)


def in_address(host: str) -> str:
    """``host`` as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
