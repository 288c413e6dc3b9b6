"""The processes of one environment: started in a session of their own, and signalled as a group.

Frozen is the whole group, by SIGSTOP. On AWS a whole virtual machine stops, its clock and kernel included.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
import psutil
from gevent import subprocess

LOG_BYTES = 1_000_000  # of each container
PIECE = 65_536
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up before any fork


class Process:
    """A runtime, and whatever it starts."""

    def __init__(
        self,
        command: list[str],
        folder: str,
        variables: dict[str, str],
        log: Path,
        ended: Callable[[int], None],
    ) -> None:
        """Starts ``command`` in ``folder`` with ``variables`` as its environment.

        ``log`` takes what is printed, up to a megabyte; ``ended`` is told the exit code, negative for a
        signal. Raises OSError.
        """
        self._told = ended
        self._log = log
        self.is_frozen = self._was_seen_frozen = self.has_ended = False
        self._cpu_s = 0.0
        self._frozen_at_s = self._frozen_s = 0.0
        self._popen = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self.pid: int = self._popen.pid
        self._usage: psutil.Process | None = None
        with suppress(psutil.Error):
            self._usage = psutil.Process(self.pid)
        gevent.spawn(self._watch)
        gevent.spawn(self._keep_log)

    def __repr__(self) -> str:
        state = "ended" if self.has_ended else "frozen" if self.is_frozen else "running"
        return f"<Process {self.pid}: {state}>"

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        code: int | None = self._popen.poll()
        return code

    def freeze(self) -> None:
        if not self.is_frozen:
            self._frozen_at_s = time.monotonic()
        self.is_frozen = True
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.is_frozen:
            self._frozen_s = self.frozen_s()
            self.is_frozen = self._was_seen_frozen = False
            self.signal(signal.SIGCONT)

    def frozen_s(self) -> float:
        """Seconds for which it has been frozen so far."""
        return self._frozen_s + (time.monotonic() - self._frozen_at_s if self.is_frozen else 0.0)

    def signal(self, number: int) -> None:
        """Sends the signal ``number`` to the group."""
        if not self.has_ended:  # later its number may be another's
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Whether it ends within ``timeout_s``."""
        ends_s = time.monotonic() + timeout_s
        while self.poll() is None and time.monotonic() < ends_s:
            gevent.sleep(0.005)
        return self.poll() is not None

    def used(self, *, with_children: bool = False) -> tuple[float, float]:
        """Seconds of CPU, as of the last look while it is frozen, and megabytes of memory.

        Both are the process's own; with ``with_children`` the CPU includes that of its children. 0 and 0 once
        it has ended: then the CPU is part of what the system says of children that have ended.
        """
        if self._usage is None or self.has_ended:
            return 0.0, 0.0
        if self.is_frozen and self._was_seen_frozen:
            return self._cpu_s, 0.0
        self._was_seen_frozen = self.is_frozen
        with suppress(psutil.Error):
            children = self._usage.children() if with_children else []
            self._cpu_s = sum(sum(one.cpu_times()[:2]) for one in (self._usage, *children))
            return self._cpu_s, self._usage.memory_info().rss / 2**20
        return self._cpu_s, 0.0

    def _watch(self) -> None:
        code = self._popen.wait()
        self.signal(signal.SIGKILL)  # whatever it has started
        self.has_ended = True
        self._told(code)

    def _keep_log(self) -> None:
        left, output = LOG_BYTES, self._popen.stdout
        with suppress(OSError, ValueError):
            while piece := output.read1(PIECE):  # read to the end, or a function that prints would wait
                if left > 0:
                    with suppress(OSError), self._log.open("ab") as file:
                        file.write(piece[:left])
                left -= len(piece)
        output.close()


def _die_with_parent() -> None:
    """In the new process: it is killed when the one that started it ends in whatever way (Linux)."""
    if _prctl is not None:
        _prctl(DIE_WITH_PARENT, signal.SIGKILL)
