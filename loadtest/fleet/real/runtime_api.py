"""The Lambda Runtime API for one container, and the Extensions API: all that a runtime needs of the service.

Sources: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes", version 2018-06-01;
"Using the Lambda Extensions API to create extensions", version 2020-01-01.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from gevent import socket
from gevent.pywsgi import WSGIHandler, WSGIServer

from loadtest.fleet.real.trailers import Tail, error_of, object_in

HOST = "127.0.0.1"
CORK = getattr(socket, "TCP_CORK", None)  # Linux
VERSION, EXTENSIONS_VERSION = "2018-06-01", "2020-01-01"
LARGEST_BYTES = 6 * 1024 * 1024 + 100  # of an answer: the 6 MB of the guide, as its error message counts them
TYPES_HEADER = "HTTP_LAMBDA_RUNTIME_FUNCTION_ERROR_TYPE"
MODES_HEADER = "HTTP_LAMBDA_RUNTIME_FUNCTION_RESPONSE_MODE"
PATHS = re.compile(f"/{VERSION}/runtime/(invocation/(next|[^/]+/(response|error))|init/error)")
FORBIDDEN = "403 Forbidden"
STATUSES = {
    "InvalidRequestID": "400 Bad Request",
    "InvalidFunctionResponseMode": "400 Bad Request",
    "TruncatedHTTPRequest": "400 Bad Request",
    "InvalidStateTransition": FORBIDDEN,
    "RequestEntityTooLarge": "413 Request Entity Too Large",
}

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Request(NamedTuple):
    """One invocation, as the runtime gets it. ``deadline_ms`` is since the epoch."""

    request_id: str
    event: bytes
    deadline_ms: int
    arn: str
    trace: str

    def as_event(self) -> dict[str, Any]:
        """What an extension hears of it."""
        return {
            "eventType": "INVOKE",
            "deadlineMs": self.deadline_ms,
            "requestId": self.request_id,
            "invokedFunctionArn": self.arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": self.trace},
        }


class Refused(Exception):
    """What the runtime asks for cannot be."""

    def __init__(self, kind: str, message: str) -> None:
        """``kind`` is the ``errorType`` that it gets, ``message`` the ``errorMessage``."""
        super().__init__(message)
        self.kind = kind


class Service(Protocol):
    """What the API tells and asks of its container's environment. Each may raise :class:`Refused`."""

    def next(self) -> Request:
        """The runtime is ready: waits for the next invocation."""

    def answered(self, request_id: str, answer: bytes) -> None:
        """``request_id`` is answered, with ``answer`` as body."""

    def failed(self, request_id: str, error: dict[str, Any]) -> None:
        """The invocation ``request_id`` failed with ``errorType``, ``errorMessage``."""

    def init_failed(self, error: dict[str, Any]) -> None:
        """The function's module-level code has failed."""

    def register(self, name: str, events: Any) -> tuple[str, dict[str, str]]:
        """An extension called ``name`` wants ``events``. Returns its identifier, and what it is told.

        Raises :class:`Refused`.
        """

    def next_event(self, identifier: str) -> dict[str, Any]:
        """The extension ``identifier`` is ready: waits for its next event. Raises :class:`Refused`."""

    def extension_failed(self, identifier: str, error: dict[str, Any]) -> None:
        """The extension ``identifier`` cannot go on. Raises :class:`Refused`."""


class AtOnce(WSGIHandler):  # type: ignore[misc]
    """Sends what there is to send at once: else each answer would wait 40 ms for the other side's ACK."""

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        """``sock`` is the connection to the runtime at ``address``, which ``server`` has accepted."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, address, server)

    def process_result(self) -> None:
        """Sends head and body as one packet where it can, since each wakes the runtime up.

        gevent writes one after the other.
        """
        self._cork(1)
        super().process_result()
        self._cork(0)

    def _cork(self, is_on: int) -> None:
        if CORK is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, CORK, is_on)


class RuntimeApi:
    """Listens on ``address``, host and port, from the start to :meth:`close`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server = WSGIServer((HOST, 0), self._answer, log=None, error_log=None, handler_class=AtOnce)
        self._server.start()
        self.address = f"{HOST}:{self._server.server_port}"

    def close(self) -> None:
        self._server.stop(timeout=0)

    def _answer(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        try:
            return self._routed(environ, start)
        except Refused as refused:
            content = {"errorType": refused.kind, "errorMessage": str(refused)}
            return _said(start, STATUSES.get(refused.kind, FORBIDDEN), content)

    def _routed(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        where: str = environ["PATH_INFO"]
        method = environ["REQUEST_METHOD"]
        match (method, *where.removeprefix("/").split("/")):
            case ("GET", version, "runtime", "invocation", "next") if version == VERSION:
                return self._next(start)
            case ("POST", version, "runtime", "invocation", request_id, "response") if version == VERSION:
                self._response(request_id, environ)
            case ("POST", version, "runtime", "invocation", request_id, "error") if version == VERSION:
                self._service.failed(request_id, _error(environ))
            case ("POST", version, "runtime", "init", "error") if version == VERSION:
                self._service.init_failed(_error(environ))
            case (_, version, "extension", *rest) if version == EXTENSIONS_VERSION:
                return self._extension(method, rest, environ, start)
            case _:
                return _nowhere(start, is_known=PATHS.fullmatch(where) is not None)
        return _said(start, "202 Accepted", {"status": "OK"})

    def _next(self, start: StartResponse) -> Iterable[bytes]:
        request = self._service.next()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(request.event)),
            "Lambda-Runtime-Aws-Request-Id": request.request_id,
            "Lambda-Runtime-Deadline-Ms": str(request.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": request.arn,
            "Lambda-Runtime-Trace-Id": request.trace,
        }
        start("200 OK", list(headers.items()))
        return [request.event]

    def _extension(
        self, method: str, path: list[str], environ: dict[str, Any], start: StartResponse
    ) -> Iterable[bytes]:
        service, identifier = self._service, environ.get("HTTP_LAMBDA_EXTENSION_IDENTIFIER", "")
        match (method, *path):
            case ("POST", "register"):
                name, body = environ.get("HTTP_LAMBDA_EXTENSION_NAME", ""), object_in(_body(environ))
                made, told = service.register(name, body.get("events"))
                return _said(start, "200 OK", told, [("Lambda-Extension-Identifier", made)])
            case ("GET", "event", "next"):
                return _said(start, "200 OK", service.next_event(identifier))
            case ("POST", "init" | "exit", "error"):
                service.extension_failed(identifier, _error(environ))
                return _said(start, "202 Accepted", {"status": "OK"})
        return _nowhere(start, is_known=False)

    def _response(self, request_id: str, environ: dict[str, Any]) -> None:
        if environ.get(MODES_HEADER, "streaming") != "streaming":
            self._service.failed(request_id, _failure("Runtime.InvalidResponseModeHeader", ""))
            raise Refused("InvalidFunctionResponseMode", "Invalid function response mode")
        tail = Tail(environ["wsgi.input"])
        try:
            answer = environ["wsgi.input"].read(LARGEST_BYTES + 1)
            if len(answer) > LARGEST_BYTES:
                _drain(environ)
        except OSError:  # the connection broke off, or its chunks are none
            self._service.failed(request_id, _failure("Runtime.TruncatedResponse", ""))
            raise Refused("TruncatedHTTPRequest", "HTTP request detected as truncated") from None
        if len(answer) > LARGEST_BYTES:
            limit = f"maximum allowed payload size ({LARGEST_BYTES} bytes)."
            message = f"Response payload size exceeded {limit}"
            self._service.failed(request_id, _failure("Function.ResponseSizeTooLarge", message))
            raise Refused("RequestEntityTooLarge", f"Exceeded {limit}")
        error = tail.error()
        if error is None:
            self._service.answered(request_id, answer)
        else:
            self._service.failed(request_id, error)


def _said(
    start: StartResponse, status: str, content: dict[str, Any], headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers])
    return [body]


def _nowhere(start: StartResponse, *, is_known: bool) -> Iterable[bytes]:
    status = "405 Method Not Allowed" if is_known else "404 Not Found"
    start(status, [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []


def _error(environ: dict[str, Any]) -> dict[str, Any]:
    """What the runtime says of a failure, whatever it sends."""
    return error_of(_body(environ), environ.get(TYPES_HEADER, ""))


def _failure(kind: str, message: str) -> dict[str, Any]:
    return {"errorType": kind, "errorMessage": message}


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(LARGEST_BYTES)
    _drain(environ)
    return body


def _drain(environ: dict[str, Any]) -> None:
    while environ["wsgi.input"].read(1 << 16):
        pass
