"""The way of one container's connections to the server: delayed, measured, and kept when it is reaped.

When a process is killed its kernel says goodbye for it; when the service takes an environment away, nobody
does. So a function talks to this relay, which knows whose each connection is, adds the round trip, and keeps
the server's end open and unread once the container is gone.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer
from pymysql.constants import ER

from loadtest.fleet.book import Book, Life
from loadtest.fleet.connection import Meter
from loadtest.fleet.real.wire import Phase, Wire
from loadtest.manager.liveness import is_readable

PIECE = 65_536
LOST = "2013"  # CR_SERVER_LOST: the connection has ended before the answer
HOST = "127.0.0.1"


class Link:
    """One connection of a function, as the book records it."""

    def __init__(self, book: Book, meter: Meter, downstream: Any, upstream: Any) -> None:
        """``downstream`` is the socket to the function, ``upstream`` the one to the server."""
        self.meter = meter
        self.wire = Wire()
        self.downstream = downstream
        self.upstream = upstream
        self.life: Life | None = None
        self.was_opened = False
        self.counted_count = 0  # statements that have been written down
        self.killing: Callable[[str], None] | None = None  # told how the KILL that is under way ended
        self._book = book
        self.pumps: list[Any] = []

    def thread_id(self) -> int:
        return self.wire.server_id

    def fileno(self) -> int:
        return int(self.upstream.fileno())

    def killed(self, error: str) -> None:
        """The KILL that is under way, if there is one, has ended with ``error``."""
        killing, self.killing = self.killing, None
        if killing is not None:
            killing(error)

    def surrender(self) -> tuple[Any, Any]:
        """Gives the server's end away, to be kept as a zombie; nobody reads it any more."""
        upstream, self.upstream, self.life = self.upstream, None, None
        self._stop()
        return upstream, None

    def note_end(self) -> None:
        """The function has closed it. Called before the server answers, whose goodbye looks the same."""
        life, self.life = self.life, None
        if life is not None:
            self._book.closed(life, in_use=self.wire.is_busy, dropped=is_readable(self.upstream))

    def _force_close(self) -> None:
        """Closes both ends without a goodbye, and has the book note it."""
        self.note_end()
        upstream, self.upstream = self.upstream, None
        self._stop()
        if upstream is not None:
            upstream.close()

    def _stop(self) -> None:
        self.killed(LOST)
        current = gevent.getcurrent()
        for pump in self.pumps:
            if pump is not current:
                pump.kill(block=False)
        self.downstream.close()


class Relay:
    """Listens on ``port`` of 127.0.0.1 for one container. ``error_code``: of its newest answer, 0: none."""

    def __init__(self, book: Book, meter: Meter, server: tuple[str, int], rtt_s: float) -> None:
        """``server`` is its host and port; ``rtt_s`` is added to every round trip."""
        self._book = book
        self._meter = meter
        self._server = server
        self._rtt_s = rtt_s
        self.clock = time.monotonic  # or one of its container, which stands still while that is frozen
        self.links: set[Link] = set()
        self.error_code = 0
        self._listener = StreamServer((HOST, 0), self._serve)
        self._listener.start()
        self.port = int(self._listener.server_port)

    def _serve(self, downstream: Any, _address: Any) -> None:
        meter, began_s = self._meter, self.clock()
        meter.connects_count += 1
        self._book.totals.connects_count += 1
        meter.retries_count += meter.refused
        gevent.sleep(2 * self._rtt_s)  # for TCP's handshake, and until the server's greeting is there
        try:
            upstream = socket.create_connection(self._server)
        except OSError:
            downstream.close()  # nobody listens there, which the function sees as a connection that broke
            meter.refused = True
            meter.connect_s += self.clock() - began_s
            return
        for end in (downstream, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self._book, meter, downstream, upstream)
        self.links.add(link)
        link.pumps = [gevent.getcurrent(), gevent.spawn(self._up, link)]
        try:
            self._down(link, began_s)
        finally:
            self.links.discard(link)

    def _down(self, link: Link, began_s: float) -> None:
        """From the server to the function, until the server has nothing more to say."""
        wire, meter = link.wire, link.meter
        is_settled = False
        while data := _read(link.upstream):
            wire.server_sent(data)
            self.error_code = wire.error_code
            if link.killing is not None and not wire.is_busy:
                link.killed(str(wire.error_code or ""))
            if not is_settled and wire.phase in (Phase.READY, Phase.REFUSED, Phase.OPAQUE):
                is_settled = True
                meter.connect_s += self.clock() - began_s
                if wire.phase is not Phase.REFUSED:
                    self._opened(link)
            if not _write(link.downstream, data):
                break
        if not is_settled:
            meter.connect_s += self.clock() - began_s
        if not link.was_opened:  # refused: it was never a connection
            meter.refused = True
            self._book.totals.refused_count += wire.error_code == ER.CON_COUNT_ERROR
            link._force_close()
            return
        # The function learns it from the end of its stream; the book sees it by itself.
        _half_close(link.downstream)
        gevent.joinall([pump for pump in link.pumps if pump is not gevent.getcurrent()])

    def _opened(self, link: Link) -> None:
        if not link.was_opened:
            link.was_opened = True
            link.meter.refused = False
            with suppress(ValueError):  # the run is over, and its book closed
                link.life = self._book.opened(link)

    def _up(self, link: Link) -> None:
        """From the function to the server, until the function closes its end."""
        wire = link.wire
        while data := _read(link.downstream):
            is_amid = wire.is_amid_packet
            self._sent(link, data)
            if self._rtt_s and not (is_amid or wire.has_quit):
                gevent.sleep(self._rtt_s)
                # What the function has sent meanwhile is on its way, too: it does not wait again.
                while link.upstream is not None and is_readable(link.downstream):
                    more = _read(link.downstream)
                    if not more:
                        break
                    self._sent(link, more)
                    data += more
            if link.upstream is None:
                break
            is_dropped = wire.has_quit and is_readable(link.upstream)
            if not _write(link.upstream, data):
                break
            self._count(link, is_dropped)
        if link.upstream is not None:
            link._force_close()

    def _count(self, link: Link, is_dropped: bool) -> None:
        """What the function has sent has gone to the server; ``is_dropped``: it had hung up before."""
        wire, totals = link.wire, self._book.totals
        totals.is_opaque |= wire.phase is Phase.OPAQUE
        totals.may_be_several |= wire.may_be_several
        totals.statements_count += wire.statements_count - link.counted_count
        link.counted_count = wire.statements_count
        totals.quits_count += wire.has_quit and not is_dropped

    def _sent(self, link: Link, data: bytes) -> None:
        """The function has sent ``data``."""
        wire, meter = link.wire, link.meter
        commands_count = wire.commands_count
        wire.client_sent(data)
        meter.commands_count += wire.commands_count - commands_count
        if wire.phase is Phase.OPAQUE:
            self._opened(link)
        if wire.commands_count > commands_count and wire.victim is not None:
            link.killing = self._book.killing(meter.container, wire.victim)
        if wire.has_quit:
            link.note_end()

    # The end of its container

    def abandon(self) -> None:
        """The container is taken away: the server keeps its connections, and nobody reads or closes them."""
        self._listener.stop()
        self._book.reaped(self._meter.container)
        self._drop()

    def settle(self, timeout_s: float) -> None:
        """Waits up to ``timeout_s`` until what the function has closed is closed at the server, too."""
        ends_s = time.monotonic() + timeout_s
        while self.links and time.monotonic() < ends_s:
            gevent.sleep(0.002)

    def cut(self) -> None:
        """The container is stopped, and its connections are closed without a goodbye."""
        self._listener.stop()
        self._book.cut(self._meter.container)
        self._drop()

    def _drop(self) -> None:
        for link in list(self.links):  # those that were not connections yet
            link._force_close()

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.stop()


def _read(end: Any) -> bytes:
    try:
        return bytes(end.recv(PIECE)) if end is not None else b""
    except OSError:
        return b""


def _write(end: Any, data: bytes) -> bool:
    try:
        end.sendall(data)
    except OSError:
        return False
    return True


def _half_close(end: Any) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_WR)
