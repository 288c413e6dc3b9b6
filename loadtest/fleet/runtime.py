"""What runs the functions of containers: here, this process, with a greenlet for each invocation.

:class:`Runtime` is the seam between the service (:mod:`loadtest.fleet.fleet`: which container serves an
arrival, and how long it lives) and whatever executes a function. Another kind of container, such as a process
of a real runtime, is another class with these methods.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import nan
from typing import Any, Protocol

import gevent
import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.fleet.book import Book
from loadtest.fleet.connection import FunctionTimeout, Meter, shortage_of, tls_arguments
from loadtest.fleet.connector import Connector, Route
from loadtest.fleet.container import Container, Reap
from loadtest.fleet.context import Context
from loadtest.fleet.pool import Pool, Pooled
from loadtest.fleet.strategies import factory_of
from loadtest.fleet.workload import Batch, Work
from loadtest.manager.errors import code_of, symbols
from loadtest.results.rows import TIMEOUT
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import Part
from loadtest.ways import NO_PROXIES, ONE_FOR_ONE, Way

Factory = Callable[[Connector], Any]


class Runtime(Protocol):
    """Containers are told apart by their numbers; ``container.function`` is the runtime's to use."""

    def timeout_s(self, part: str) -> float:
        """After how many seconds a function of ``part``, by name, is stopped."""

    def slots_count(self, part: str) -> int:
        """How many containers an environment of ``part`` is: more than one share what they are made of."""

    def share(self, container: Container, other: Container) -> None:
        """``other`` is in the environment that ``container`` has started."""

    def finish(self, container: Container) -> None:
        """After an invocation: waits until the container can take another one, or is lost."""

    def start(self, container: Container) -> float:
        """A new container comes up. Returns how many seconds of that are cold start, and no latency."""

    def invoke(self, container: Container, work: Work | Batch, context: Context) -> str:
        """Runs the function, first its module-level code if it is new.

        Returns the error, "" for an answer.
        """

    def is_lost(self, container: Container) -> bool:
        """Whether the container did not survive its invocation, so that the service makes a new one."""

    def discard(self, container: Container) -> None:
        """The container is lost, or was stopped at its timeout: nothing of it is used any more."""

    def cut(self, container: Container, greenlet: Any, is_running: Callable[[], bool]) -> None:
        """Stops the invocation that ``greenlet`` runs, unless ``is_running()`` says that it is over."""

    def reap(self, container: Container, how: Reap) -> None:
        """The container is reaped; ``how`` says what becomes of its connections."""

    def cpu_s(self) -> float:
        """Seconds of CPU that functions have used in processes of their own; NaN where there are none.

        To be called about once a second.
        """

    def close(self) -> None:
        """The run is over."""


class InProcess:
    """Functions as objects of this process."""

    def __init__(
        self,
        factories: Mapping[str, Factory],
        routes: Mapping[str, Route],
        book: Book,
        timeout_leaves: str,
        timeout_s: float,
        cold_start_s: float = 0.0,
        cache_s: float = 0.0,
    ) -> None:
        """``factories`` create the functions, and ``routes`` are their ways, by the name of the part.

        ``timeout_leaves``: zombie or closed; ``timeout_s``: of every function; ``cold_start_s``: how long a
        new container takes to start; ``cache_s``: how long an answer takes that is in a cache.
        """
        self._timeout_s = timeout_s
        self._cold_start_s, self._cache_s = cold_start_s, cache_s
        self._factories = factories
        self._routes = routes
        self._book = book
        self._timeout_leaves = timeout_leaves

    def timeout_s(self, part: str) -> float:
        """As :class:`Runtime` says: the run's, whatever the ``part``."""
        del part
        return self._timeout_s

    def slots_count(self, part: str) -> int:
        """One, whatever the ``part``."""
        del part
        return 1

    def share(self, container: Container, other: Container) -> None:
        """Never called: ``container`` and ``other`` are environments of their own."""

    def finish(self, container: Container) -> None:
        """It can take another one as soon as it has answered."""

    def start(self, container: Container) -> float:
        """As :class:`Runtime` says: sleeps."""
        del container
        if self._cold_start_s:
            gevent.sleep(self._cold_start_s)
        return self._cold_start_s

    def is_lost(self, container: Container) -> bool:
        """Never: what a function raises leaves its container as it is."""
        del container
        return False

    def discard(self, container: Container) -> None:
        """As :class:`Runtime` says."""
        container.function = None

    def cpu_s(self) -> float:
        """None beside this process."""
        return nan

    def close(self) -> None:
        """Nothing is left of it."""

    def invoke(self, container: Container, work: Work | Batch, context: Context) -> str:
        """As :class:`Runtime` says.

        The error is a code with its name, the name of an exception, or ``timeout``.
        """
        if work.is_hit:
            gevent.sleep(self._cache_s)
            return ""
        try:
            if container.function is None:
                connect = Connector(self._routes[container.part], container.meter)
                container.function = self._factories[container.part](connect)
            container.function.invoke(work, context)
        except FunctionTimeout:
            return TIMEOUT
        except Exception as problem:
            # A function that is cut may turn that into an error of its own on its way out.
            return TIMEOUT if container.meter.cut else name_of(problem)
        return TIMEOUT if container.meter.cut else ""

    def cut(self, container: Container, greenlet: Any, is_running: Callable[[], bool]) -> None:
        """Closes or keeps its connections first, then stops the function that runs in ``greenlet``.

        In this order, because a real function runs no more code once it is stopped, while ours still unwinds:
        whatever it tries to do then meets a dead connection. Nothing is stopped if ``is_running()`` says by
        then that the invocation is over.
        """
        container.meter.cut = True
        if self._timeout_leaves == "zombie":
            self._book.reaped(container.number)
        else:
            self._book.cut(container.number)
        gevent.get_hub().loop.run_callback(self._throw, greenlet, is_running)

    def _throw(self, greenlet: Any, is_running: Callable[[], bool]) -> None:
        # It may have ended by itself since; what its greenlet does now is not to be cut.
        if is_running():
            greenlet.throw(FunctionTimeout())

    def reap(self, container: Container, how: Reap) -> None:
        """``how`` as :class:`Runtime` says; one that is told closes its connections by its ``close()``."""
        if how is Reap.ZOMBIE:
            self._book.reaped(container.number)
        else:
            close = getattr(container.function, "close", None)
            if close is not None:
                with suppress(Exception):  # a function's last words change nothing
                    close()
        container.function = None


def in_process(
    settings: Settings, parts: list[Part], server: Dsn, book: Book, pool_size: int = 0, home: str = "",
    secret: Callable[[], str] | None = None, proxies: Mapping[str, Way] = NO_PROXIES,
) -> InProcess:  # fmt: skip
    """The runtime of a fleet with these parts. Opens the pool of ``ideal``, with ``pool_size`` connections.

    A user's strategies are also looked up in the folder ``home``; ``secret()`` is the account's password,
    where it may change; ``proxies`` are those in front of the ``server``, by name. Raises
    :class:`UsageError` for a strategy that is not there, and :class:`ServerUnavailable` if other clients have
    the pool's connections.
    """
    ways = {**proxies, "": Way(server, settings.tls)}

    def route(way: Way) -> Route:
        arguments = {**way.dsn.connect_arguments(), "autocommit": True, **tls_arguments(way.tls)}
        shares = way.kind not in ("", ONE_FOR_ONE)
        return Route(book, settings.rtt_ms / 1000, arguments, secret, shares)

    routes = {part.name: route(ways[part.via]) for part in parts}
    factories = _factories(parts, routes, pool_size, home)
    cold_start_s = settings.cold_start_ms / 1000
    return InProcess(
        factories, routes, book, settings.timeout_leaves, settings.function_timeout_s, cold_start_s,
        settings.rtt_ms / 1000,
    )  # fmt: skip


def _factories(
    parts: list[Part], routes: Mapping[str, Route], pool_size: int, home: str
) -> dict[str, Factory]:
    if parts[0].spec == "ideal":
        pool = _open_pool(routes[parts[0].name], pool_size)
        return {parts[0].name: lambda connect: Pooled(pool, connect.meter)}
    return {part.name: factory_of(part, home) for part in parts}


def _open_pool(route: Route, size: int) -> Pool:
    # Opened before the load: their connects are nobody's, and cost no time that is measured. A pool
    # keeps its connections, whatever the server does with idle ones of others.
    def kept() -> Any:  # each with the newest password: a proxy asks for the secret itself
        return Connector(route, Meter(-1))(init_command="SET SESSION wait_timeout = 28800")

    try:
        return Pool(kept, size)
    except pymysql.MySQLError as error:
        raise ServerUnavailable(
            f"ideal cannot open its {size} connections ({label(error)}): other clients have some of them; "
            "leave those free with a larger --ideal-reserve, or leave out ideal"
        ) from None


def name_of(error: BaseException | str) -> str:
    """An ``error`` as rows have it: MySQL's by :func:`label`, any other by its class; a text as it is."""
    if isinstance(error, str):
        return error
    return label(error) if isinstance(error, pymysql.MySQLError) else type(error).__name__


def label(error: pymysql.MySQLError) -> str:
    """``1040 ER_CON_COUNT_ERROR``; its type if it has no number; ``EMFILE`` where this machine ran out."""
    shortage = shortage_of(error)
    if shortage:
        return shortage
    code = code_of(error)
    if not code:
        return type(error).__name__
    return f"{code} {symbols().get(code, 'unknown')}"
