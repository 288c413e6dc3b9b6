"""Load on another machine: in Locust's processes, whoever starts it has to be allowed to."""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Any

from loadtest import remote
from loadtest.dsn import Dsn
from loadtest.errors import WorkersMissing
from loadtest.settings.harm import harm_of
from loadtest.settings.plan import Settings
from loadtest.swarm.orders import check_same_server, names_of

log = logging.getLogger("loadtest")


def check_allowed(settings: Settings) -> str:
    """What ``settings`` will do to servers that are not this machine; "" if there are none.

    For a master or a single process. Raises :class:`~loadtest.errors.UsageError` if nobody has allowed it.
    """
    servers = remote.servers_in(os.environ, "LOADTEST_DSN", "LOADTEST_ADMIN_DSN")
    is_allowed = remote.allowed_in(os.environ)
    return remote.agreed(servers, harm_of(settings, servers[0].database), is_allowed=is_allowed)


def say_harm(settings: Settings) -> None:
    """Logs it before a load with ``settings``. A bench has said it already."""
    harm = check_allowed(settings)
    if harm and "LOADTEST_REPETITION" not in os.environ:
        for line in harm.splitlines():  # of which each is passed on to a terminal by itself
            log.warning(line)


def check_order(own: Dsn | None, names: list[str], order: Mapping[str, Any]) -> None:
    """A worker may load the server that its master was allowed to load, and no other one.

    ``own`` is the worker's, from its environment, and ``names`` what that calls itself. Raises
    :class:`~loadtest.errors.WorkersMissing` if it is another one than in the master's ``order``, or, on
    another machine, if that cannot be known.
    """
    check_same_server(names, order)
    if own is None or (names and order["server_names"]) or remote.allowed_in(os.environ):
        return
    if not remote.is_remote(own.host):
        return
    again = names_of(own)  # it may have been full when it was asked first
    check_same_server(again, order)
    if not (again and order["server_names"]):
        raise WorkersMissing(
            f"a worker (on {socket.gethostname()}) cannot tell whether {own.host}:{own.port}, on another "
            f"machine, is the server of its master: set {remote.VARIABLE}=1 for the worker if it is"
        )
