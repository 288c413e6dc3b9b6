"""Process groups: started, waited for and ended as a whole."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

END_S = 3.0


class Say(Protocol):
    def __call__(self, text: str, *, err: bool = False) -> None: ...


def start(words: Sequence[str], folder: Path, log: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Starts a process in a new session, so that Ctrl-C in the terminal reaches only us.

    ``words`` are its command line, ``folder`` its working directory, ``env`` all of its environment; what it
    prints is appended to ``log``.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            list(words),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]", *, hurry: Callable[[], bool] = lambda: False) -> None:
    """Ends the group of ``process``: SIGTERM, then SIGKILL after :data:`END_S`, or at once if ``hurry()``."""
    if process.poll() is None:
        process.terminate()
        until = time.monotonic() + END_S
        while process.poll() is None and time.monotonic() < until and not hurry():
            time.sleep(0.05)
    wait_for_group(process.pid, 0.0 if hurry() else END_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_group(process.pid, END_S)  # its others: on a busy machine even a killed process takes a moment


def wait_for_group(group: int, patience_s: float) -> bool:
    """Whether the process group with the id ``group`` ended in time.

    Locust's master ends before its workers do.
    """
    until = time.monotonic() + patience_s
    while alive(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def alive(group: int) -> bool:
    """Whether the process group with the id ``group`` has running processes; zombies do not count."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def complaint(log: Path) -> str:
    """The last error that our own code logged in Locust; "" if there is none."""
    marker, lines = "/ERROR/loadtest: ", []
    with suppress(OSError):
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if marker in line]
    return lines[-1].partition(marker)[2].strip() if lines else ""


def pass_on(log: Path, told: int, say: Say) -> int:
    """Says our own warnings and errors in a log of Locust, from byte ``told`` on.

    ``say`` prints them. Returns how much has been told by now.
    """
    text = log.read_bytes()[told:]
    whole = text[: text.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        for level in ("WARNING", "ERROR"):
            _, mark, words = line.partition(f"/{level}/loadtest: ")
            if mark:
                say(f"loadtest: {level.lower()}: {words}", err=True)
    return told + len(whole)


def last_line(log: Path) -> str:
    """The last line of a process's log, for a message."""
    with suppress(OSError):
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        if lines:
            return lines[-1].strip()
    return "it said nothing"
