"""The strategies: how a function holds its connection.

A strategy is a class (or any callable) that is called with ``connect`` once per container, which
stands for module-level code, and returns an object with one or two methods:

* ``invoke(work, context)``: the handler. ``work(session)`` runs the workload on anything with
  ``query(sql, args)`` and ``transaction()``; your own handler may do something else.
* ``close()``, optional: called when the container is reaped gracefully.

It may return a plain function of (event, context) instead, as Lambda has them.

``connect(**arguments)`` is PyMySQL's ``connect`` with the server, the account, TLS and the round
trip's delay filled in; connections made otherwise are neither delayed nor recorded.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from loadtest.errors import UsageError
from loadtest.manager import Classic, ConnectionManager
from loadtest.manager.errors import is_lost
from loadtest.settings.strategy import Part

Connect = Callable[..., Any]


class Plain:
    """A PyMySQL connection as a session."""

    __slots__ = ("connection",)

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def query(self, sql: str, args: Any = None) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchall()

    @contextmanager
    def transaction(self) -> Iterator["Plain"]:
        self.connection.begin()
        try:
            yield self
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()


class Direct:
    """Connect, query, close in every invocation."""

    __slots__ = ("_connect",)

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def invoke(self, work: Any, _context: Any) -> None:
        connection = self._connect()
        try:
            work(Plain(connection))
        finally:
            connection.close()


class Cached:
    """Connect once, reuse, reconnect when lost: what AWS's guides recommend."""

    __slots__ = ("_connect", "_connection")

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Any = None

    def invoke(self, work: Any, _context: Any) -> None:
        fresh = self._connection is None
        if fresh:
            self._connection = self._connect()
        try:
            work(Plain(self._connection))
        except pymysql.MySQLError as error:
            if fresh or not is_lost(error):
                raise
            self._connection = None
            self._connection = self._connect()
            work(Plain(self._connection))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class WithManager:
    """The connection manager, with our policy or the published algorithm."""

    __slots__ = ("_db",)

    def __init__(self, connect: Connect, policy: Classic | None = None) -> None:
        self._db = ConnectionManager(library=connect, policy=policy)

    def invoke(self, work: Any, context: Any) -> None:
        with self._db.invocation(context):
            work(self._db)

    def close(self) -> None:
        self._db.quit()


class Handler:
    """A function of (event, context), as Lambda calls it; the event has ``id`` and ``group``."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Callable[[dict[str, Any], Any], Any]) -> None:
        self._handler = handler

    def invoke(self, work: Any, context: Any) -> None:
        self._handler({"id": work.id, "group": work.group}, context)


def _with_invoke(made: Any) -> Any:
    return made if hasattr(made, "invoke") or not callable(made) else Handler(made)


BUILT_IN: dict[str, Callable[[Connect], Any]] = {
    "direct": Direct,
    "cached": Cached,
    "classic": lambda connect: WithManager(connect, Classic()),
    "managed": WithManager,
}


def factory_of(part: Part, home: str = "") -> Callable[[Connect], Any]:
    """The factory of the part's functions. ``home``: an additional folder for a user's modules.

    Raises :class:`UsageError` if it does not exist. Not for ``ideal``, which is a pool of the whole fleet.
    """
    if part.spec in BUILT_IN:
        return BUILT_IN[part.spec]
    module, _, attribute = part.spec.partition(":")
    if home and home not in sys.path:
        sys.path.append(home)  # last: a grp.py there must not go before Python's own
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"strategy {part.name!r}: {module} cannot be imported ({reason})") from None
    factory = getattr(found, attribute, None)
    if not callable(factory):
        raise UsageError(f"strategy {part.name!r}: {module} has no callable named {attribute!r}")
    return lambda connect: _with_invoke(factory(connect))


def check(parts: Iterable[Part], home: str = "") -> None:
    """Raises :class:`UsageError` for a part whose factory does not exist."""
    for part in parts:
        if part.spec != "ideal":
            factory_of(part, home)
