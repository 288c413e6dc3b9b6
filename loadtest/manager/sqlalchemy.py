"""The manager as SQLAlchemy's pool: ``create_engine("mysql+pymysql://…", poolclass=ManagedPool)``."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pymysql
from sqlalchemy import Engine, event, exc
from sqlalchemy.pool import QueuePool

from loadtest.manager import options
from loadtest.manager.connection import ConnectionManager
from loadtest.manager.dbapi import ManagedConnection
from loadtest.manager.invocation import Handler, as_invocation, time_given_s
from loadtest.manager.result import unwrapped
from loadtest.manager.session import Session
from loadtest.manager.stats import Stats

OWN_CONNECTION = (
    "ManagedPool connects itself: leave out creator=, and let listeners to do_connect change arguments only"
)
GONE = "the connection of this checkout is gone: check out another"
WHERE = 'create_engine("mysql+pymysql://…", poolclass=ManagedPool)'


@dataclass(slots=True)
class _Invocation:
    """One for all pools that an engine has had: a pool that was disposed of may have a checkout yet."""

    pools: "list[ManagedPool]"
    is_begun: bool = False
    end_by: float | None = None  # by time.monotonic()

    def left_s(self) -> float | None:
        return None if self.end_by is None else self.end_by - time.monotonic()


class ManagedPool(QueuePool):
    """A pool whose connections are managed: one for each container, unless it is told otherwise.

    Options of :class:`ConnectionManager` go into ``connect_args``, beside PyMySQL's. Only within
    :func:`managed` do connections have a deadline and an end of the invocation, which keeps them or not.
    ``pool_pre_ping`` is not needed: whether a connection is alive is told from its socket.
    """

    def __init__(
        self,
        creator: Callable[..., Any],
        pool_size: int = 1,
        max_overflow: int = 0,
        timeout: float = 30.0,
        use_lifo: bool = True,
        **more: Any,
    ) -> None:
        """As :class:`~sqlalchemy.pool.QueuePool`, with one connection instead of up to fifteen.

        Args:
            creator: the engine's.
            pool_size: how many connections the pool keeps. Each has a manager of its own.
            max_overflow: how many more there may be at a time; they are closed when they come back.
            timeout: seconds to wait for one that is in use, and no longer than the invocation has left.
            use_lifo: hand out the one that came back last.
            more: as in SQLAlchemy.

        Raises :class:`~sqlalchemy.exc.ArgumentError` for another driver than PyMySQL.
        """
        super().__init__(creator, pool_size, max_overflow, timeout, use_lifo, **more)
        dialect: Any = more.get("dialect")
        if getattr(dialect, "loaded_dbapi", None) is not pymysql:
            raise exc.ArgumentError(f"ManagedPool manages connections of PyMySQL: {WHERE}")
        self._longest_wait_s = timeout
        self._managers: list[ConnectionManager] = []
        self._free: list[ConnectionManager] = []  # those of them without a connection of the pool's
        self._invocation = _Invocation([self])
        # What the engine calls to connect, once the listeners to do_connect have had their say.
        dialect.connect = self._connect
        dialect.set_isolation_level = partial(_set_isolation_level, dialect)
        if _check_out not in self.dispatch.checkout:  # a pool that is made again has its predecessor's
            event.listen(self, "checkout", _check_out)

    @property
    def stats(self) -> Stats:
        """The counts of all its managers together."""
        total = Stats()
        for manager in self._managers:
            for name in Stats.__slots__:
                setattr(total, name, getattr(total, name) + getattr(manager.stats, name))
        return total

    def begin(self, context: Any = None) -> None:
        """An invocation begins; ``context`` as in :meth:`ConnectionManager.begin`, which has its errors."""
        given_s = time_given_s(context)
        self._invocation.end_by = None if given_s is None else time.monotonic() + given_s
        self._invocation.is_begun = True
        for manager in self._all_managers():
            manager.begin(context)

    def end(self) -> None:
        """It ends: each connection is kept or closed. One with a transaction open is closed with it."""
        for manager in self._all_managers():
            manager.end()
        self._invocation.is_begun, self._invocation.end_by = False, None
        pools = self._invocation.pools
        pools[:] = [pool for pool in pools if pool is pools[-1] or pool._holds_any()]

    def recreate(self) -> "ManagedPool":
        """The engine's next pool, in the same invocation."""
        made = cast(ManagedPool, super().recreate())
        made._invocation = self._invocation
        made._invocation.pools.append(made)
        return made

    def _holds_any(self) -> bool:
        return any(manager.get_client() is not None for manager in self._managers)

    def _all_managers(self) -> list[ConnectionManager]:
        return [manager for pool in self._invocation.pools for manager in pool._managers]

    def _do_get(self) -> Any:
        left_s = self._invocation.left_s()
        if left_s is not None:
            self._timeout = max(0.0, min(left_s, self._longest_wait_s))
        try:
            return super()._do_get()
        finally:
            self._timeout = self._longest_wait_s

    def _connect(self, *args: Any, **arguments: Any) -> "PooledConnection":
        """In the place of PyMySQL's connect. ``arguments`` may differ from the last time, as with tokens."""
        if args:
            raise exc.ArgumentError("ManagedPool takes connect arguments by name only")
        of_manager = {name: value for name, value in arguments.items() if name in options.NAMES}
        of_pymysql = {name: value for name, value in arguments.items() if name not in options.NAMES}
        if self._free:
            manager = self._free.pop()
            manager.config(of_pymysql)
        else:
            manager = ConnectionManager({"autocommit": False, **of_pymysql}, **of_manager)
            self._managers.append(manager)
            if self._invocation.is_begun:
                manager.begin(self._invocation.left_s())
        try:
            return PooledConnection(manager, self._free.append)
        except BaseException:
            self._free.append(manager)
            raise


class PooledConnection(ManagedConnection):
    """One that ends with its session, so that the engine and its listeners see each new connection."""

    def __init__(self, manager: ConnectionManager, give_back: Callable[[ConnectionManager], None]) -> None:
        """Connects. Raises what :meth:`ConnectionManager.connect` raises."""
        only = manager._connected()
        super().__init__(manager)
        self._manager, self._give_back = manager, give_back
        self._session = self._only = only
        # What the engine and its listeners set first belongs to the connection, and is kept with it.
        only.is_guarded = self._is_handed_out = False

    def hand_out(self) -> None:
        """To a function, whose statements are guarded from now on. Raises PyMySQL's error for a dead one.

        Its lease is lengthened first: the function may do something else before its first statement.
        """
        session, guards_session = self._only, self._options.policy.guards_session
        if not self._is_handed_out:
            session.own_autocommit = session.is_autocommit()
            self._is_handed_out = True
        self._autocommit = None  # what the last user wanted
        with unwrapped:
            self._connected()
            if guards_session:
                session.lengthen_lease(self.remaining_s(), self._limit_s(None))
        session.is_guarded = guards_session

    @contextmanager
    def unguarded(self) -> Iterator[None]:
        """Within the block nothing that is set counts as the function's own."""
        before, self._only.is_guarded = self._only.is_guarded, False
        try:
            yield
        finally:
            self._only.is_guarded = before

    def close(self) -> None:
        """Closes the connection itself, and hands its manager on to the next."""
        if self.open:
            self._is_closed = True
            self._only.close()
            self._give_back(self._manager)

    def __del__(self) -> None:
        if "_only" in vars(self) and self.open:  # detached, and forgotten
            self._is_closed = True
            self._only.drop()
            self._give_back(self._manager)

    def _of_manager(self) -> Session:
        if not self._only.is_usable():
            raise pymysql.OperationalError(2006, GONE)
        return self._only


def _set_isolation_level(dialect: Any, connection: PooledConnection, level: Any) -> None:
    """As the dialect does. Nothing stays in the session: a check-in brings back the engine's own level."""
    with connection.unguarded():
        type(dialect).set_isolation_level(dialect, connection, level)


def _check_out(connection: PooledConnection, _record: Any, _proxy: Any) -> None:
    if not isinstance(connection, PooledConnection):
        raise exc.ArgumentError(OWN_CONNECTION)
    try:
        connection.hand_out()
    except pymysql.MySQLError:
        raise exc.DisconnectionError(GONE) from None


@contextmanager
def managed(engine: Engine, context: Any = None) -> Iterator[Engine]:
    """Around a handler's body: one invocation of all connections of ``engine``.

    ``context`` as in :meth:`ConnectionManager.invocation`. Raises :class:`TypeError` for an engine with
    another pool than :class:`ManagedPool`.
    """
    pool = _pool_of(engine)
    pool.begin(context)
    try:
        yield engine
    finally:
        pool.end()


def managed_handler(engine: Engine) -> Callable[[Handler], Handler]:
    """Decorates ``handler(event, context)``, so that its body is one invocation of ``engine``'s connections.

    Raises :class:`TypeError` for another pool, and for a function that makes a coroutine or a generator.
    """
    _pool_of(engine)
    return lambda function: as_invocation(lambda context: managed(engine, context), function)


def _pool_of(engine: Engine) -> ManagedPool:
    pool = getattr(engine, "pool", None)
    if not isinstance(pool, ManagedPool):
        raise TypeError(f"not an engine with a ManagedPool, but {engine!r}: {WHERE}")
    return pool
