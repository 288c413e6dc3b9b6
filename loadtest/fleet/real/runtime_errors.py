"""What a runtime says of an error: as a body of its own, or in the trailers of an answer that it had begun.

Source of the trailers: AWS Lambda developer guide, "Building a custom runtime", on response streaming. Pure.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

TYPE_HEADER = "lambda-runtime-function-error-type"
BODY_TRAILER = "lambda-runtime-function-error-body"


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is; an empty one for anything else."""
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError):  # too deep
        said = {}
    return said if isinstance(said, dict) else {}


def error_of(body: bytes, kind: str) -> dict[str, Any]:
    """``errorType`` and ``errorMessage`` of any ``body`` that a runtime sends; ``kind`` is its header's."""
    known = object_in(body)
    return {
        "errorType": str(known.get("errorType") or kind or "Unhandled"),
        "errorMessage": str(known.get("errorMessage", "")),
    }


def error_in(trailers: Mapping[str, str]) -> dict[str, Any] | None:
    """What ``trailers``, by their names in lower case, say of an error; None if they say nothing of one."""
    if TYPE_HEADER not in trailers and BODY_TRAILER not in trailers:
        return None
    try:
        body = base64.b64decode(trailers.get(BODY_TRAILER, ""))
    except ValueError:
        body = b""
    return error_of(body, trailers.get(TYPE_HEADER, ""))
