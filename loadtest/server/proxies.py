"""The proxies in front of a server: started, or named by the user."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import connections, haproxy, launch, router
from loadtest.server.target import Target
from loadtest.settings.strategy import parse
from loadtest.settings.via import GIVEN, Via
from loadtest.ways import VARIABLE, Way, told

TRIED_S = 5.0


class Proxy(NamedTuple):
    """``way`` is that of the functions; at ``status`` it tells how it is, "" if it does not."""

    via: Via
    way: Way
    status: str = ""


@contextmanager
def launched_proxies(vias: Sequence[Via], target: Target, tls: str) -> Iterator[dict[str, Proxy]]:
    """The proxies of ``vias`` in front of ``target``, by name, for the duration of the block.

    ``tls`` is on or off: whether functions use it where the proxy leaves the choice. Raises
    :class:`ServerUnavailable`, and :class:`UsageError` for a proxy of another server.
    """
    with ExitStack() as stack:
        yield {via.name: _proxy(via, target, tls, stack) for via in vias}


def proxy_of(strategy: str, proxies: Mapping[str, Proxy]) -> Proxy | None:
    """The one of ``proxies`` through which ``strategy`` goes, a part of it at least."""
    taken = {part.via for part in parse(strategy)}
    return next((proxy for name, proxy in proxies.items() if name in taken), None)


def variables_for(strategy: str, proxies: Mapping[str, Proxy]) -> dict[str, str]:
    """What the processes of a repetition of ``strategy`` are told of its proxy, if it has one."""
    proxy = proxy_of(strategy, proxies)
    if proxy is None:
        return {}
    is_alone = all(part.via for part in parse(strategy))
    return {
        VARIABLE: told({proxy.via.name: proxy.way}),
        **({"LOADTEST_PROXY_STATUS": proxy.status} if proxy.status else {}),
        **({"LOADTEST_PROXY_ALONE": "1"} if is_alone else {}),
    }


def _proxy(via: Via, target: Target, tls: str, stack: ExitStack) -> Proxy:
    if via.kind == GIVEN:
        dsn = connections.with_password(Dsn.parse(via.address))
        _check_same_server(via, dsn, target)
        return Proxy(via, Way(dsn, tls))
    folder = stack.enter_context(launch.new_folder())
    if via.kind == router.SERVICE:
        started = router.start(folder, target)
        return Proxy(via, Way(started.functions, "on"), started.status)
    queue = haproxy.start(folder, target)
    return Proxy(via, Way(queue.functions, tls), queue.status)


def _check_same_server(via: Via, dsn: Dsn, target: Target) -> None:
    connections.try_for(dsn, TRIED_S)
    asked = "SELECT @@hostname, @@port, (SELECT COUNT(*) FROM loadtest_rows)"
    try:
        with connections.session(dsn, TRIED_S) as cursor:
            cursor.execute(asked)
            theirs = cursor.fetchone()
        with connections.session(target.admin, TRIED_S) as cursor:
            cursor.execute(asked)
            ours = cursor.fetchone()
    except pymysql.Error as error:
        raise ServerUnavailable(f"proxy {via.name!r}: {connections.words_of(error, dsn)}") from None
    if theirs != ours:
        raise UsageError(
            f"proxy {via.name!r} leads to another server or database than --server: name the same with both"
        )
