"""What a runtime says of an error: as a body of its own, or in the trailers of an answer that it had begun.

Source of the trailers: AWS Lambda developer guide, "Building a custom runtime", on response streaming.
"""

import base64
import json
import re
from typing import Any

TRAILER = re.compile(rb"(?im)^lambda-runtime-function-error-(type|body):[ \t]*(.*?)[ \t]*\r$")


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is; an empty one for anything else."""
    try:
        said = json.loads(body or b"{}")
    except ValueError:
        said = {}
    return said if isinstance(said, dict) else {}


def error_of(body: bytes, kind: str) -> dict[str, Any]:
    """``errorType`` and ``errorMessage`` of any ``body`` that a runtime sends; ``kind`` is its header's."""
    known = object_in(body)
    return {
        "errorType": str(known.get("errorType") or kind or "Unhandled"),
        "errorMessage": str(known.get("errorMessage", "")),
    }


class Tail:
    """Between gevent's ``wsgi.input`` and its file: remembers the trailers, which gevent reads and drops.

    It reads them byte by byte, and the body in larger pieces.
    """

    def __init__(self, body: Any) -> None:
        """``body`` is ``wsgi.input``, of which nothing has been read."""
        self._file = body.rfile
        self._kept = bytearray()
        body.rfile = self

    def read(self, size: int = -1) -> bytes:
        """For gevent: at most ``size`` bytes, as from the file itself."""
        piece: bytes = self._file.read(size)
        if size == 1:
            self._kept += piece
        else:
            self._kept.clear()
        return piece

    def error(self) -> dict[str, Any] | None:
        """What the trailers of a body that has been read say of an error; None if there are none."""
        found = {name.lower(): value for name, value in TRAILER.findall(self._kept)}
        if not found:
            return None
        try:
            body = base64.b64decode(found.get(b"body", b""))
        except ValueError:
            body = b""
        return error_of(body, found.get(b"type", b"").decode("latin-1"))
