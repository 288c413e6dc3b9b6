"""A function's MySQL connection: delayed, measured, and left behind as a zombie."""

import errno
import ssl
import time
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, ER

from loadtest.fleet.book import Book, Life
from loadtest.fleet.pinning import TRANSACTION, cause_of
from loadtest.manager.liveness import is_readable

# No local port, open file, memory or room for a packet: the server never heard of such a connect.
SHORTAGES = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class FunctionTimeout(BaseException):
    """The service stops a function. Not an Exception, so that the function cannot catch it."""


class Meter:
    """What a container's connections have done in the current invocation."""

    __slots__ = (
        "command_s", "commands_count", "connect_s", "connects_count", "container", "cut", "refused",
        "retries_count",
    )  # fmt: skip

    def __init__(self, container: int) -> None:
        self.container = container
        self.cut = False
        self.reset()

    def reset(self) -> None:
        self.connect_s = 0.0
        self.command_s = 0.0
        self.connects_count = 0
        self.retries_count = 0
        self.commands_count = 0
        self.refused = False


class MeteredConnection(Connection):
    """PyMySQL's connection with delayed round trips, a meter, and a recorded life.

    Every write that waits for an answer is delayed by ``rtt_s``. A connect also pays it for the TCP handshake
    and for the greeting, as between two hosts. ``shares``: a proxy shares the server's connections, so what
    pins one is recorded.
    """

    def __init__(
        self, book: Book, meter: Meter, rtt_s: float, shares: bool = False, **arguments: Any
    ) -> None:
        self.meter = meter
        self._book = book
        self._rtt_s = rtt_s
        self._pinned_by: set[str] | None = set() if shares else None
        self._life: Life | None = None
        self._busy = False
        self._quitting = False
        self._dropped = False
        super().__init__(**arguments)

    def connect(self, sock: Any = None) -> None:
        """Connects, over ``sock`` if given. Raises :class:`FunctionTimeout` once the function is cut off."""
        meter = self.meter
        if meter.cut:
            raise FunctionTimeout
        started, commands_s = time.monotonic(), meter.command_s
        totals = self._book.totals
        meter.connects_count += 1
        totals.connects_count += 1
        totals.may_be_several |= bool(self.client_flag & CLIENT.MULTI_STATEMENTS)
        meter.retries_count += meter.refused
        meter.refused = True
        try:
            if self._rtt_s:
                time.sleep(self._rtt_s)
            super().connect(sock)
        except pymysql.MySQLError as error:
            totals.refused_count += error.args[:1] == (ER.CON_COUNT_ERROR,)
            self._book.shortages_count += bool(shortage_of(error))
            raise
        finally:
            meter.connect_s += time.monotonic() - started
            meter.command_s = commands_s  # what the connect itself asked is part of the connect
        meter.refused = False
        meter.commands_count -= 1  # PyMySQL's own SET NAMES, the same for everybody
        self._life = self._book.opened(self)

    def _get_server_information(self) -> None:
        if self._rtt_s:
            time.sleep(self._rtt_s)
        super()._get_server_information()  # type: ignore[misc]

    def _write_bytes(self, data: bytes) -> None:
        if self._rtt_s and not self._quitting:
            time.sleep(self._rtt_s)
        # gevent's sendall asks for the size of the socket's buffer each time: three times as long as this.
        try:
            self._sock.settimeout(self._write_timeout)  # type: ignore[attr-defined]
            sent_count = self._sock.send(data)  # type: ignore[attr-defined]
        except (OSError, AttributeError):
            sent_count = 0  # PyMySQL's own way meets it, too, and says what it is
        if sent_count < len(data):
            super()._write_bytes(data[sent_count:])  # type: ignore[misc]
        if self._quitting and not self._dropped:
            self._book.totals.quits_count += 1

    def _execute_command(self, command: int, sql: Any) -> None:
        self.meter.commands_count += 1
        super()._execute_command(command, sql)  # type: ignore[misc]
        self._book.totals.sent(command)  # and not one that was cut on its way
        if self._pinned_by is not None:
            self._note_pin(cause_of(command, sql))

    def _note_pin(self, cause: str) -> None:
        pinned_by = self._pinned_by
        assert pinned_by is not None  # noqa: S101 - the caller asks
        if cause and (cause not in pinned_by or cause == TRANSACTION):
            pinned_by.add(cause)
            self._book.pinned(self.meter.container, cause)

    def query(self, sql: Any, unbuffered: bool = False) -> int:
        """Runs a statement and measures it; ``unbuffered`` leaves its rows on the wire, as in PyMySQL."""
        meter, started = self.meter, time.monotonic()
        victim = _victim(sql)
        killing = self._book.killing(meter.container, victim) if victim is not None else None
        self._busy = True
        try:
            affected = super().query(sql, unbuffered)
            error = ""
        except pymysql.MySQLError as problem:
            error = str(problem.args[0]) if problem.args else type(problem).__name__
            self._busy = False  # the server answered; or PyMySQL closed the connection, which is on record
            raise
        finally:
            if killing is not None:
                killing(error)
            meter.command_s += time.monotonic() - started
        self._busy = False
        return affected

    def close(self) -> None:
        # Who ended it has to be seen before the server answers our goodbye with its own.
        self._dropped = is_readable(self._sock)
        self._quitting = True
        super().close()

    def _force_close(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            # One that the garbage collector has closed already was not dropped by the server.
            dropped = self._dropped if self._quitting else self.fileno() >= 0 and is_readable(self._sock)
            self._book.closed(life, in_use=self._busy, dropped=dropped)
        super()._force_close()  # type: ignore[misc]

    # PyMySQL's is bound to its own _force_close; garbage has to be counted, too.
    def __del__(self) -> None:
        if getattr(self, "_sock", None) is not None:
            self._book.close_garbage(self)

    def fileno(self) -> int:
        """The file descriptor of its open socket."""
        return int(self._sock.fileno())  # type: ignore[attr-defined]

    def surrender(self) -> tuple[Any, Any]:
        """Gives its open socket away, to be kept as a zombie. The connection cannot be used any more."""
        sock, rfile = self._sock, self._rfile  # type: ignore[has-type]
        self._sock = self._rfile = None
        self._life = None
        return sock, rfile


def shortage_of(error: BaseException | None) -> str:
    """What this machine had run out of when the connect behind ``error`` failed, such as ``EADDRNOTAVAIL``.

    "" if it failed for any other reason.
    """
    seen: list[BaseException] = []  # whatever a function raises, even an error that causes itself
    while error is not None and error not in seen:
        number = getattr(getattr(error, "original_exception", None), "errno", None)
        if number in SHORTAGES:
            return errno.errorcode[number]
        seen.append(error)
        error = error.__cause__
    return ""


def _victim(sql: Any) -> int | None:
    """The connection id in a KILL statement; None for any other statement."""
    if not isinstance(sql, str) or sql[:1] not in "kK" or sql[:5].upper() != "KILL ":
        return None
    last = sql.split()[-1]
    return int(last) if last.isdecimal() and "QUERY" not in sql.upper() else None


def tls_arguments(mode: str) -> dict[str, Any]:
    """PyMySQL's arguments for TLS: ``mode`` "off" disables it, any other does not check certificates.

    All connections share one context: by default PyMySQL creates one for each, at 25-40 ms of CPU.
    """
    if mode == "off":
        return {"ssl_disabled": True}
    context = ssl.create_default_context()
    # The servers that we start have certificates of their own making; what is measured is the cost.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}
