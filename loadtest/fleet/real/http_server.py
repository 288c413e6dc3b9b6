"""HTTP/1.1 for a runtime on loopback, parsed by llhttp, since every invocation pays for two exchanges."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

from gevent import socket
from gevent.server import StreamServer
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

HOST = "127.0.0.1"
PIECE = 65_536
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Received(NamedTuple):
    """What a client asks. Names of headers and trailers are in lower case; ``path`` has no query.

    ``is_whole``: False if it broke off or is no HTTP. ``is_last``: nothing more comes on its connection.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str]
    is_whole: bool
    is_last: bool


class Reply(NamedTuple):
    status: HTTPStatus
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def packet(self) -> bytes:
        """Head and body in one piece: each piece that is sent wakes the other side up."""
        lines = [
            f"HTTP/1.1 {self.status} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            f"Date: {_date(int(time.time()))}",
            *(f"{name}: {value}" for name, value in self.headers),
            "\r\n",
        ]
        return "\r\n".join(lines).encode("latin-1") + self.body


@lru_cache(maxsize=1)
def _date(at_s: int) -> str:
    """``at_s``: seconds since the epoch."""
    return formatdate(at_s, usegmt=True)


class HttpServer:
    """Listens on ``address``, host and port, from the start to :meth:`close`."""

    def __init__(self, answer: Callable[[Received], Reply], most_bytes: int) -> None:
        """``answer`` may wait. A body of more than ``most_bytes`` comes cut off, but still with more."""
        self._answer = answer
        self._most_bytes = most_bytes
        self._server = StreamServer((HOST, 0), self._serve)
        self._server.start()
        self.address = f"{HOST}:{self._server.server_port}"

    def close(self) -> None:
        """Takes no more connections."""
        self._server.stop(timeout=0)

    def _serve(self, connection: Any, _address: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parser = _Parser(self._most_bytes)
        with suppress(OSError):  # the client has gone
            while not parser.has_ended:
                parser.feed(connection.recv(PIECE))
                if parser.is_asked_to_go_on:
                    parser.is_asked_to_go_on = False
                    connection.sendall(GO_ON)
                while parser.received:
                    connection.sendall(self._answer(parser.received.popleft()).packet())


class _Parser:
    """From bytes to requests; the methods called ``on_…`` are llhttp's."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._llhttp = HttpRequestParser(self)
        self._has_head = False
        self.has_ended = False
        self.is_asked_to_go_on = False
        self.received: deque[Received] = deque()

    def feed(self, data: bytes) -> None:
        """``data`` is what came next, empty at the end of the stream."""
        try:
            if data:
                self._llhttp.feed_data(data)
                return
        except (HttpParserError, HttpParserUpgrade):
            pass
        self.has_ended = True
        if self._has_head:
            self._complete(is_whole=False)

    def on_message_begin(self) -> None:
        self._url = b""
        self._fields: dict[str, str] = {}
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headers, self._fields = self._fields, {}  # what is to come are trailers
        self._has_head = True
        self.is_asked_to_go_on = self._headers.get("expect", "").lower() == "100-continue"

    def on_body(self, piece: bytes) -> None:
        if len(self._body) <= self._most_bytes:
            self._body += piece

    def on_message_complete(self) -> None:
        self.is_asked_to_go_on = False
        self.has_ended = not self._llhttp.should_keep_alive()
        self._complete(is_whole=True)

    def _complete(self, *, is_whole: bool) -> None:
        self._has_head = False
        method, path = self._llhttp.get_method().decode(), self._url.decode("latin-1").partition("?")[0]
        self.received.append(
            Received(method, path, self._headers, bytes(self._body), self._fields, is_whole, self.has_ended)
        )
