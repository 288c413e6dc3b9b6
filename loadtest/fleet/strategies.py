"""The ways in which a function holds its connection.

A strategy is a class (or any callable) that is called with ``connect`` once per container, which
stands for module-level code, and returns an object with one or two methods:

* ``invoke(work, context)``: the handler. ``work(session)`` runs the workload on anything with
  ``query(sql, args)`` and ``transaction()``; a handler of one's own may do something else.
* ``close()``, optional: the container is told that it goes (a graceful reap).

It may return a plain function of (event, context) instead, as Lambda has them.

``connect(**arguments)`` is PyMySQL's ``connect`` with the server, the account, TLS and the round
trip's delay filled in; connections made otherwise are neither delayed nor recorded.
"""

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from loadtest.errors import UsageError
from loadtest.manager import Classic, ConnectionManager
from loadtest.manager.errors import is_lost
from loadtest.settings import ARM_NAME, STRATEGIES, nearest

HOME_VARIABLE = "LOADTEST_STRATEGIES_FROM"
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
    """The connection manager, with our policy or the published one."""

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
SHARED = re.compile(r"(?P<spec>.+):(?P<share>\d*\.?\d+)")


class Part:
    """One function of a fleet: its name, its strategy, its share of the arrivals."""

    __slots__ = ("name", "share", "spec")

    def __init__(self, name: str, spec: str, share: float) -> None:
        self.name = name
        self.spec = spec  # a built-in name or package.module:attribute
        self.share = share

    def check(self) -> None:
        """Raises :class:`UsageError` when it cannot be had."""
        if self.spec != "ideal":
            self.factory()

    def factory(self) -> Callable[[Connect], Any]:
        """Raises :class:`UsageError` when it is not there."""
        if self.spec in BUILT_IN:
            return BUILT_IN[self.spec]
        module, _, attribute = self.spec.partition(":")
        home = os.environ.get(HOME_VARIABLE)
        if home and home not in sys.path:
            sys.path.append(home)  # last: a grp.py there must not go before Python's own
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(f"strategy {self.name!r}: {module} cannot be imported ({reason})") from None
        factory = getattr(found, attribute, None)
        if not callable(factory):
            raise UsageError(f"strategy {self.name!r}: {module} has nothing to call named {attribute!r}")
        return lambda connect: _with_invoke(factory(connect))


def arm_name(text: str) -> str:
    """``base=pkg:a`` is called ``base``; anything else by its own text."""
    name = text.split("=", 1)[0]
    return name if "=" in text and "+" not in text else text


def parse(text: str) -> list[Part]:
    """A strategy as written: one, or several with shares. Raises :class:`UsageError`."""
    if not ARM_NAME.fullmatch(arm_name(text)):
        raise UsageError(f"strategy {text!r}: a name may have letters, digits and . _ : + = - only")
    parts = [_part(piece, single="+" not in text) for piece in text.split("+")]
    total = sum(part.share for part in parts)
    if abs(total - 1.0) > 1e-6:
        raise UsageError(f"strategy {text!r}: the shares add up to {total:g}, not to 1")
    if len(parts) > 1 and any(part.spec == "ideal" for part in parts):
        raise UsageError(f"strategy {text!r}: ideal is a pool of the whole server and cannot share it")
    if len({part.name for part in parts}) < len(parts):
        raise UsageError(
            f"strategy {text!r}: a part is named twice; name them, as in a=managed:0.5+b=managed:0.5"
        )
    return parts


def _part(piece: str, *, single: bool) -> Part:
    match = SHARED.fullmatch(piece)
    if match is None and not single:
        raise UsageError(f"strategy part {piece!r} has no share; write e.g. managed:0.3+cached:0.7")
    spec, share = (match["spec"], float(match["share"])) if match else (piece, 1.0)
    name, _, named = spec.rpartition("=")
    if named not in (*STRATEGIES,) and not re.fullmatch(r"[\w.]+:\w+", named):
        raise UsageError(
            f"unknown strategy {named!r}{nearest(named, STRATEGIES)}; there are {', '.join(STRATEGIES)}, "
            "or package.module:attribute for one of your own"
        )
    return Part(name or named, named, share)


if __name__ == "__main__":
    # In a process of its own, since a stranger's module may patch or start whatever it likes.
    try:
        for part in parse(sys.argv[1]):
            part.check()
    except UsageError as problem:
        sys.exit(str(problem))
