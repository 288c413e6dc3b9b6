"""What a real function is sent, and what its answer means to whoever sent it. Pure but for reading a file.

Sources, for what an answer means: API Gateway developer guide ("Lambda proxy integrations"); Elastic Load
Balancing, "Lambda functions as targets"; AWS Lambda developer guide, "Handling errors for an SQS event
source".
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loadtest.errors import UsageError
from loadtest.fleet.real.event_samples import SAMPLES, sqs
from loadtest.fleet.workload import UNFINISHED_BATCH
from loadtest.settings.nearest import nearest

STREAMED = b"\0" * 8  # after the metadata of a streamed answer
ID, GROUP = "{{id}}", "{{group}}"


class Events:
    """Makes the events of a run, and judges the answers."""

    def __init__(self, source: str, home: str) -> None:
        """``source`` is a name in :data:`SAMPLES`, or a JSON file's path from the folder ``home``.

        In the text of a file ``{{id}}`` and ``{{group}}`` stand for those of the invocation. Raises
        :class:`UsageError` if there is no such sample or file, or if what results is not JSON.
        """
        self._sample = SAMPLES.get(source)
        self._text = "" if self._sample else _text(source, home)
        try:
            example = json.loads(self.event("1/1", 1))
        except ValueError as error:
            raise UsageError(
                f"event {source!r} is not JSON once {ID} and {GROUP} have values: {error}"
            ) from None
        self._problem = _judge_of(example)

    def event(self, work_id: str, group: int) -> bytes:
        """The event of the invocation ``work_id``, CLIENT/NUMBER, for ``group``, a number from 1."""
        if self._sample is not None:
            return json.dumps(self._sample({"id": work_id, "group": group})).encode()
        return self._text.replace(ID, work_id).replace(GROUP, str(group)).encode()

    def batch(self, messages: Sequence[tuple[str, int]]) -> bytes:
        """What SQS delivers: ``messages`` by id and group, whose bodies are the events."""
        records = []
        for work_id, group in messages:
            (record,) = sqs({"id": work_id, "group": group})["Records"]
            records.append({**record, "body": self.event(work_id, group).decode()})
        return json.dumps({"Records": records}).encode()

    def problem(self, answer: bytes) -> str:
        """Why the sender of the event takes ``answer``, the function's, for a failure; "" if it does not."""
        return self._problem(answer)


def _text(source: str, home: str) -> str:
    path = Path(home, source)
    if not path.is_file() and "/" not in source and "." not in source:
        raise UsageError(
            f"unknown event {source!r}{nearest(source, SAMPLES)}; there are {', '.join(SAMPLES)}, or a path "
            "to a JSON file of your own"
        )
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"event {source!r} cannot be read: {error}") from None


def _judge_of(event: Any) -> Callable[[bytes], str]:
    """By what an event of its kind expects as an answer."""
    if not isinstance(event, dict):
        return _anything
    context, records = event.get("requestContext"), event.get("Records")
    if isinstance(context, dict):
        return _http_2 if event.get("version") == "2.0" else _http_1
    first = records[0] if isinstance(records, list) and records else None
    if isinstance(first, dict) and first.get("eventSource") in ("aws:sqs", "aws:kinesis"):
        return _batch
    return _anything


def _anything(_answer: bytes) -> str:
    return ""


def _http_1(answer: bytes) -> str:
    """REST APIs and load balancers answer 502 in place of what has no status."""
    found = content_of(answer)
    status = found.get("statusCode") if isinstance(found, dict) else None
    return _failed(status) if _is_status(status) else "http 502"


def _http_2(answer: bytes) -> str:
    """HTTP APIs take an answer without a status for the body of a 200."""
    found = content_of(answer)
    if not isinstance(found, dict) or "statusCode" not in found:
        return ""
    status = found["statusCode"]
    return _failed(status) if _is_status(status) else "http 500"


def _batch(answer: bytes) -> str:
    found = content_of(answer)
    return UNFINISHED_BATCH if isinstance(found, dict) and found.get(UNFINISHED_BATCH) else ""


def _is_status(status: Any) -> bool:
    text = str(status)
    is_number = len(text) == 3 and text.isascii() and text.isdigit()
    return is_number and not isinstance(status, bool) and 100 <= int(text) <= 599


def _failed(status: Any) -> str:
    return f"http {int(status)}" if int(status) >= 500 else ""


def content_of(answer: bytes) -> Any:
    """The JSON of a function's ``answer``. Of a streamed answer, its metadata; None for what is no JSON."""
    try:
        return json.loads(answer.partition(STREAMED)[0])
    except (ValueError, RecursionError):  # too deep
        return None
