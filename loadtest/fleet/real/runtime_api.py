"""The Lambda Runtime API for one container, and the Extensions API: all that a runtime needs of the service.

Sources: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes", version 2018-06-01;
"Using the Lambda Extensions API to create extensions", version 2020-01-01.
"""

import json
import re
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from loadtest.fleet.real.http_server import HttpServer, Received, Reply
from loadtest.fleet.real.runtime_errors import TYPE_HEADER, error_in, error_of, object_in

VERSION, EXTENSIONS_VERSION = "2018-06-01", "2020-01-01"
LARGEST_BYTES = 6 * 1024 * 1024 + 100  # of an answer: the 6 MB of the guide, as its error message counts them
MODE_HEADER = "lambda-runtime-function-response-mode"
PATHS = re.compile(f"/{VERSION}/runtime/(invocation/(next|[^/]+/(response|error))|init/error)")
STATUSES = {
    "InvalidRequestID": HTTPStatus.BAD_REQUEST,
    "InvalidFunctionResponseMode": HTTPStatus.BAD_REQUEST,
    "TruncatedHTTPRequest": HTTPStatus.BAD_REQUEST,
    "InvalidStateTransition": HTTPStatus.FORBIDDEN,
    "RequestEntityTooLarge": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
NOWHERE = Reply(HTTPStatus.NOT_FOUND, content_type="text/plain")
WRONG_METHOD = Reply(HTTPStatus.METHOD_NOT_ALLOWED, content_type="text/plain")


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


class RuntimeApi:
    """Listens on ``address``, host and port, from the start to :meth:`close`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server = HttpServer(self._answer, LARGEST_BYTES)
        self.address = self._server.address
        self.close = self._server.close

    def _answer(self, received: Received) -> Reply:
        try:
            return self._routed(received)
        except Refused as refused:
            content = {"errorType": refused.kind, "errorMessage": str(refused)}
            return _said(content, STATUSES.get(refused.kind, HTTPStatus.FORBIDDEN))

    def _routed(self, received: Received) -> Reply:
        match (received.method, *received.path.removeprefix("/").split("/")):
            case ("GET", version, "runtime", "invocation", "next") if version == VERSION:
                return self._next()
            case ("POST", version, "runtime", "invocation", request_id, "response") if version == VERSION:
                self._response(request_id, received)
            case ("POST", version, "runtime", "invocation", request_id, "error") if version == VERSION:
                self._service.failed(request_id, _error(received))
            case ("POST", version, "runtime", "init", "error") if version == VERSION:
                self._service.init_failed(_error(received))
            case (_, version, "extension", *rest) if version == EXTENSIONS_VERSION:
                return self._extension(rest, received)
            case _:
                is_known = PATHS.fullmatch(received.path) is not None
                return WRONG_METHOD if is_known else NOWHERE
        return _said({"status": "OK"}, HTTPStatus.ACCEPTED)

    def _next(self) -> Reply:
        request = self._service.next()
        headers = (
            ("Lambda-Runtime-Aws-Request-Id", request.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(request.deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", request.arn),
            ("Lambda-Runtime-Trace-Id", request.trace),
        )
        return Reply(HTTPStatus.OK, request.event, headers=headers)

    def _extension(self, path: list[str], received: Received) -> Reply:
        service, headers = self._service, received.headers
        identifier = headers.get("lambda-extension-identifier", "")
        match (received.method, *path):
            case ("POST", "register"):
                name, body = headers.get("lambda-extension-name", ""), object_in(received.body)
                made, told = service.register(name, body.get("events"))
                return _said(told, HTTPStatus.OK, (("Lambda-Extension-Identifier", made),))
            case ("GET", "event", "next"):
                return _said(service.next_event(identifier), HTTPStatus.OK)
            case ("POST", "init" | "exit", "error"):
                service.extension_failed(identifier, _error(received))
                return _said({"status": "OK"}, HTTPStatus.ACCEPTED)
        return NOWHERE

    def _response(self, request_id: str, received: Received) -> None:
        if received.headers.get(MODE_HEADER, "streaming") != "streaming":
            self._service.failed(request_id, _failure("Runtime.InvalidResponseModeHeader", ""))
            raise Refused("InvalidFunctionResponseMode", "Invalid function response mode")
        if not received.is_whole:
            self._service.failed(request_id, _failure("Runtime.TruncatedResponse", ""))
            raise Refused("TruncatedHTTPRequest", "HTTP request detected as truncated")
        if len(received.body) > LARGEST_BYTES:
            limit = f"maximum allowed payload size ({LARGEST_BYTES} bytes)."
            message = f"Response payload size exceeded {limit}"
            self._service.failed(request_id, _failure("Function.ResponseSizeTooLarge", message))
            raise Refused("RequestEntityTooLarge", f"Exceeded {limit}")
        error = error_in(received.trailers)
        if error is None:
            self._service.answered(request_id, received.body)
        else:
            self._service.failed(request_id, error)


def _said(content: dict[str, Any], status: HTTPStatus, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(content).encode(), headers=headers)


def _error(received: Received) -> dict[str, Any]:
    """What the runtime says of a failure, whatever it sends."""
    return error_of(received.body, received.headers.get(TYPE_HEADER, ""))


def _failure(kind: str, message: str) -> dict[str, Any]:
    return {"errorType": kind, "errorMessage": message}
