"""The same function under AWS's Runtime Interface Emulator (RIE) and under ours, seen from outside.

Source of the flags and the address: the emulator's README, and its source for what the README leaves out.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
import psutil

from loadtest.fleet.real.environment import Environment
from loadtest.fleet.real.launch_command import Launch
from loadtest.fleet.real.runtime_api import Request

EMULATOR = Path(sys.prefix) / "aws-lambda-rie"  # .ci/setup puts it there
INVOCATIONS = "2015-03-31/functions/function/invocations"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"
PATIENCE_S = 60  # for a busy machine
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONG = 300
DIFFERS_ANYWAY = ("Content-Length", "Date", "Lambda-Runtime-Trace-Id")


def answer_of(body: bytes) -> tuple[str, ...]:
    """What the invoker sees, without what is another at every time."""
    text = UUID.sub("ID", body.decode())
    return ("answer", text if len(text) < LONG else f"{len(body)} bytes")


def error_of(kind: str, message: str) -> tuple[str, ...]:
    return ("error", kind, UUID.sub("ID", message))


class Ours:
    """As the fleet has it: who comes after a container has ended gets a new one."""

    def __init__(self, launch: Launch, variables: dict[str, str], folder: Path, limit_s: float) -> None:
        self._launch, self._variables, self._log = launch, variables, folder / "log"
        self._limit_s = limit_s
        self._environment: Environment | None = None

    def invoke(self, event: Any) -> tuple[str, ...]:
        if self._environment is None or self._environment.failure is not None:
            self.close()
            self._environment = Environment(self._launch, self._variables, self._log)
            self._environment.start()
        body = json.dumps(event).encode()
        deadline_ms = int(1000 * (time.time() + self._limit_s))
        request = Request(str(uuid4()), body, deadline_ms, self._launch.arn, TRACE)
        overdue = gevent.spawn_later(self._limit_s, self._environment.kill)
        with gevent.Timeout(PATIENCE_S):
            failure, answer = self._environment.invoke(request)
            self._environment.finish(request.request_id)
            is_late = overdue.ready() and failure is not None
            overdue.kill()
            while not (self._environment.is_frozen or self._environment.has_ended):
                gevent.sleep(0.005)  # until its runtime asks for the next, or its process has ended
        if is_late:
            return ("timeout",)
        return answer_of(answer) if failure is None else error_of(*failure)

    def close(self) -> None:
        if self._environment is not None:
            self._environment.kill()


class Emulated:
    def __init__(self, launch: Launch, variables: dict[str, str], folder: Path, limit_s: float) -> None:
        variables = {
            **launch.defaults,
            **launch.environment,
            **variables,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(limit_s)),
        }
        for _ in range(5):  # another process may take a port that was free a moment ago
            ports = free_ports()
            with (folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}",
                     "--runtime-api-address", f"127.0.0.1:{ports[1]}", *launch.command],
                    cwd=launch.folder, env=variables, stdout=log, stderr=subprocess.STDOUT,
                    start_new_session=True,
                )  # fmt: skip
            if self._listens(ports[0]):
                break
            self.close()
        self._url = f"http://127.0.0.1:{ports[0]}/{INVOCATIONS}"

    def _listens(self, port: int) -> bool:
        while self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True
            time.sleep(0.005)
        return False

    def invoke(self, event: Any) -> tuple[str, ...]:
        request = urllib.request.Request(self._url, json.dumps(event).encode(), {"X-Amzn-Trace-Id": TRACE})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:  # 502 where its process ended, whatever the answer was
            body = error.read()
        if body.startswith(b"Task timed out after"):
            return ("timeout",)
        with suppress(ValueError):
            said = json.loads(body)
            if isinstance(said, dict) and "errorType" in said:
                return error_of(said["errorType"], said.get("errorMessage", ""))
        return answer_of(body)

    def close(self) -> None:
        """Its function has a process group of its own, but is in its session."""
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.Error):
                if os.getsid(process.pid) == self._process.pid:
                    process.kill()
        self._process.wait()


def free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (first, second)]


def noted(notes: Path, limit_s: float) -> dict[str, Any]:
    """What the runtime has been told, call by call; and the traces, which are the same in every ``next``."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    said = [json.loads(line) for line in lines]
    found: dict[str, Any] = {f"call {number}": told(note, limit_s) for number, note in enumerate(said, 1)}
    traces = {note["headers"].get("Lambda-Runtime-Trace-Id", "none") for note in said if is_next(note)}
    return {**found, "traces": traces} if traces else found


def is_next(note: dict[str, Any]) -> bool:
    return bool(note["call"] == "GET invocation/next" and note.get("status") == 200)


def told(note: dict[str, Any], limit_s: float) -> tuple[Any, ...]:
    call, status = UUID.sub("ID", note["call"]), note.get("status")
    if not is_next(note):
        text = note.get("text", "")
        return call, status, json.loads(text).get("errorType", "") if text.startswith("{") else ""
    headers = {
        name: UUID.sub("ID", value) for name, value in note["headers"].items() if name not in DIFFERS_ANYWAY
    }
    deadline_ms = float(headers["Lambda-Runtime-Deadline-Ms"])
    if note["sent_ms"] < deadline_ms <= time.time() * 1000 + limit_s * 1000:
        headers["Lambda-Runtime-Deadline-Ms"] = "milliseconds since the epoch"
    arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
    headers["Lambda-Runtime-Invoked-Function-Arn"] = re.sub(r"\d{12}", "ACCOUNT", arn)
    return call, status, json.loads(note["text"])["number"], headers
