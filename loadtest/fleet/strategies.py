"""The strategies: how a function holds its connection.

A strategy is a class (or any callable) that is called with ``connect`` once per container, which
stands for module-level code, and returns an object with one or two methods:

* ``invoke(work, context)``: the handler. ``work(session)`` runs the workload on anything with
  ``query(sql, args)`` and ``transaction()``; your own handler may do something else.
* ``close()``, optional: called when the container is reaped gracefully.

It may return a plain function of (event, context) instead, as Lambda has them.

``connect(**arguments)`` is PyMySQL's ``connect`` with the server, the account, TLS and the round
trip's delay filled in; connections made otherwise are neither delayed nor recorded. Its password is
the one with which the container started; ``connect.credentials`` is for a manager's argument of that
name (fault ``rotate-password``), and None in a run without faults.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from loadtest.errors import UsageError
from loadtest.fleet.real.dependencies import ready_launch
from loadtest.fleet.real.events import Events
from loadtest.fleet.real.function import Function
from loadtest.manager import Classic, ConnectionManager
from loadtest.manager.errors import is_lost
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import Part

Connect = Callable[..., Any]


class Plain:
    """A PyMySQL connection as a session."""

    __slots__ = ("connection",)

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def query(self, sql: str, args: Any = None) -> Any:
        """The rows of a statement. Raises PyMySQL's errors."""
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
    """Connect, query, close in every invocation. ``connect`` is what the module says."""

    __slots__ = ("_connect",)

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def invoke(self, work: Any, _context: Any) -> None:
        """Runs ``work(session)`` on a connection of its own."""
        connection = self._connect()
        try:
            work(Plain(connection))
        finally:
            connection.close()


class Cached:
    """Connect once, reuse, reconnect when lost: what AWS's guides recommend.

    ``connect`` is what the module says.
    """

    __slots__ = ("_connect", "_connection")

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Any = None

    def invoke(self, work: Any, _context: Any) -> None:
        """Runs ``work(session)``; once more, over a new connection, if an older one turns out to be lost."""
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
    """The connection manager, with our policy or the published algorithm, and any ``options`` of its own.

    ``connect`` is what the module says.
    """

    __slots__ = ("_db",)

    def __init__(self, connect: Connect, policy: Classic | None = None, **options: Any) -> None:
        # The published algorithm knows nothing of a password that changes.
        credentials = getattr(connect, "credentials", None) if policy is None else None
        self._db = ConnectionManager(library=connect, policy=policy, credentials=credentials, **options)

    def invoke(self, work: Any, context: Any) -> None:
        """Runs ``work(session)`` with the manager as the session; ``context`` tells it the deadline."""
        with self._db.invocation(context):
            work(self._db)

    def close(self) -> None:
        self._db.quit()


class Handler:
    """A function of (event, context), as Lambda calls it; the event has ``id`` and ``group``.

    From a queue it has records, whose bodies are such events as JSON.

    ``handler`` is that function, made for this container.
    """

    __slots__ = ("_handler",)

    def __init__(self, handler: Callable[[dict[str, Any], Any], Any]) -> None:
        self._handler = handler

    def invoke(self, work: Any, context: Any) -> None:
        """Calls the function with an event made of ``work``, which is not run itself, and ``context``."""
        work.judge(self._handler(work.event(), context))


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
    if isinstance(factory, type):
        has = {name for one in factory.__mro__ for name in vars(one)}
        if not has & {"invoke", "__call__", "__getattr__"}:
            raise UsageError(
                f"strategy {part.name!r}: objects of {attribute} have neither invoke nor __call__, so no "
                "function would answer"
            )
    return lambda connect: _with_invoke(factory(connect))


def check(parts: Iterable[Part], home: str, settings: Settings) -> None:
    """Raises :class:`UsageError` for a part that cannot run, found here or in the folder ``home``.

    ``settings`` are the run's: a function's own timeout may not be longer, and what it is sent has to exist.
    """
    for part in parts:
        if part.is_real:
            Events(settings.event, home)
            _check_function(ready_launch(part, home).function, settings)
        elif part.spec != "ideal":
            factory_of(part, home)


def _check_function(function: Function, settings: Settings) -> None:
    own_s = function.timeout_s
    if own_s is not None and own_s > settings.function_timeout_s:
        raise UsageError(
            f"strategy {function.name!r} has a timeout of its own of {own_s:g} s, which is longer than the "
            f"run's: give --function-timeout {own_s:g}s"
        )
    if settings.processes_per_environment > 1 and function.runtime != "python":
        raise UsageError(
            f"strategy {function.name!r} is not in Python, whose runtime alone can have several processes "
            "in an environment: leave out --processes-per-environment"
        )
