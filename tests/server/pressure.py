"""What the tests of servers share."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import psutil
import pymysql
from pymysql.cursors import Cursor

from loadtest.server import connections, launch
from loadtest.server.choice import ServerChoice
from loadtest.server.target import Target
from tests.waiting import wait_until


def server_process(target: Target) -> psutil.Process:
    """The server's own process, also when it runs in a container on the host's network."""
    marker = f"--port={target.functions.port}"
    found = [p for p in psutil.process_iter(["cmdline"]) if marker in (p.info["cmdline"] or ())]
    servers = [p for p in found if p.name() in ("mysqld", "mariadbd")]
    assert len(servers) == 1, found
    return servers[0]


@contextmanager
def open_connections(target: Target, count: int) -> Iterator[list[pymysql.Connection]]:
    """Ordinary ones, of the functions' account."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connections.connect(target.functions))) for _ in range(count)]


@contextmanager
def full(target: Target) -> Iterator[None]:
    """Whatever else is connected, once connections of functions that are on their way out are gone.

    Those would leave a slot free later.
    """
    with connections.session(target.admin) as cursor:
        wait_until(lambda: not _of_functions(cursor, target), what="the end of earlier connections")
    with ExitStack() as stack:
        with suppress(pymysql.err.OperationalError):
            while True:
                stack.enter_context(closing(connections.connect(target.functions)))
        yield


def _of_functions(cursor: Cursor, target: Target) -> int:
    cursor.execute(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s", (target.functions.user,)
    )
    (count,) = cursor.fetchone() or (0,)
    return int(count)


def start(choice: str, max_connections: int) -> None:
    """Up and down again; for starts that fail."""
    with launch.launched(ServerChoice.parse(choice), max_connections):
        pass
