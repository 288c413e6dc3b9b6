"""The pool of ``ideal``, which is what a proxy without latency would give: first come, first served."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
from gevent.queue import Queue

from loadtest.fleet.connection import Meter
from loadtest.fleet.strategies import Plain
from loadtest.manager.errors import is_lost


class Pool:
    """Connections that are opened before the load starts. The longest waiting request is served first.

    There are ``size`` of them, each made by ``connect()``, whose errors the constructor raises.
    """

    def __init__(self, connect: Callable[[], Any], size: int) -> None:
        self._connect = connect
        self._free: Queue[Any] = Queue()
        for _ in range(size):
            self._free.put(connect())

    @contextmanager
    def borrowed(self, meter: Meter) -> Iterator[Any]:
        connection = self._free.get()
        try:
            if connection is None:
                connection = self._connect()
            connection.meter = meter
            yield connection
        except BaseException as error:
            if is_lost(error) or not isinstance(error, pymysql.MySQLError):
                _close(connection)
                connection = None
            raise
        finally:
            self._free.put(connection)


def _close(connection: Any) -> None:
    """Closes a connection in an unknown state; its place is filled when it is next borrowed."""
    if connection is not None:
        with suppress(pymysql.MySQLError, OSError):
            connection._force_close()


class Pooled:
    """The function of a container of ``ideal``."""

    __slots__ = ("_meter", "_pool")

    def __init__(self, pool: Pool, meter: Meter) -> None:
        self._pool = pool
        self._meter = meter

    def invoke(self, work: Any, _context: Any) -> None:
        """Runs ``work(session)`` on a connection of the pool, and waits for one where all are in use."""
        with self._pool.borrowed(self._meter) as connection:
            work(Plain(connection))
