"""The proxies in front of a server: started, or named by the user."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import connections, flavour, haproxy, launch, router
from loadtest.server.target import Target
from loadtest.settings.via import GIVEN, Via
from loadtest.ways import Way

TRIED_S = 5.0
WHO = "SELECT VERSION(), @@hostname, @@port, DATABASE(), (SELECT COUNT(*) FROM loadtest_rows)"
UNIQUE = "SELECT @@server_uuid"  # of MySQL; the others may be alike for two containers


@contextmanager
def launched_proxies(vias: Sequence[Via], target: Target, tls: str) -> Iterator[dict[str, Way]]:
    """The proxies of ``vias`` in front of ``target``, by name, for the duration of the block.

    ``tls`` is on or off: whether functions use it where the proxy leaves the choice. Raises
    :class:`ServerUnavailable`, and :class:`UsageError` for a proxy of another server.
    """
    with ExitStack() as stack:
        yield {via.name: _proxy(via, target, tls, stack) for via in vias}


def _proxy(via: Via, target: Target, tls: str, stack: ExitStack) -> Way:
    if via.kind == GIVEN:
        dsn = connections.with_password(Dsn.parse(via.address))
        _check_same_server(via, dsn, target)
        return Way(dsn, tls, via.kind)
    folder = stack.enter_context(launch.new_folder())
    if via.kind == router.SERVICE:
        started = router.start(folder, target)
        return Way(started.functions, "on", via.kind, started.status)
    queue = haproxy.start(folder, target)
    return Way(queue.functions, tls, via.kind, queue.status)


def _check_same_server(via: Via, dsn: Dsn, target: Target) -> None:
    connections.try_for(dsn, TRIED_S)
    # The version first: of two kinds of servers one does not know the other's variables.
    for asked in (WHO, UNIQUE) if target.flavour == flavour.MYSQL else (WHO,):
        theirs, ours = _answer(via, dsn, asked), _answer(via, target.admin, asked)
        if theirs != ours:
            raise UsageError(
                f"proxy {via.name!r} leads to another server or database than --server: name the same with "
                "both"
            )


def _answer(via: Via, dsn: Dsn, asked: str) -> object:
    try:
        with connections.session(dsn, TRIED_S) as cursor:
            cursor.execute(asked)
            return cursor.fetchone()
    except pymysql.Error as error:
        raise ServerUnavailable(f"proxy {via.name!r}: {connections.words_of(error, dsn)}") from None
