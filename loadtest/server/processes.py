"""The process of a server that we started, for faults: ended, started again, stopped, slowed."""

import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import compose, local, server_folders
from loadtest.server.target import Target

END_S = 30.0
STANDS_S = 2.0  # until a suspended server stands still, at most
SLICE_S = 0.02  # in which a slowed local server runs for its share


class ServerProcess(Protocol):
    """Each method returns once it is done. Raises :class:`ServerUnavailable` where that cannot be."""

    def kill(self) -> None:
        """Ends it at once, as SIGKILL does."""

    def stop(self) -> None:
        """Has it shut down in order."""

    def start(self) -> None:
        """Starts it again on its data, and does not wait until it answers."""

    def freeze(self) -> None:
        """It stands still; its connections stay."""

    def thaw(self) -> None:
        """The end of :meth:`freeze`; nothing happens to one that is not frozen."""

    def slow(self, share: float) -> None:
        """It runs for ``share`` of the time, from 0 to 1, until :meth:`full_speed`."""

    def full_speed(self) -> None:
        """The end of :meth:`slow`; nothing happens to one that is not slowed."""


def process_of(target: Target) -> ServerProcess:
    """The process of a server of ours. Raises :class:`UsageError` for anybody else's."""
    folder = server_folders.folder_of(target.admin)
    if folder is None:
        raise UsageError("its process is not ours: let loadtest start the server (--server docker or local)")
    return LocalProcess(folder) if target.kind == "local" else Container(folder)


def stands_still(process: psutil.Process) -> bool:
    """Whether each thread of ``process`` has stopped: one takes the signal, and stops the others later."""
    threads = list(Path(f"/proc/{process.pid}/task").glob("*/stat"))
    if not threads:  # not Linux, or its end
        return not process.is_running() or bool(process.status() == psutil.STATUS_STOPPED)
    states = []
    for thread in threads:
        with suppress(OSError):  # it has ended
            states.append(thread.read_text().rpartition(")")[2].split()[0])
    return all(state in "Tt" for state in states)


class LocalProcess:
    """A mysqld or mariadbd on this machine, with its data in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command = self._process().cmdline()
        self._started: subprocess.Popen[bytes] | None = None  # kept, so that its end is seen
        self._slowed: threading.Event | None = None
        self._slower: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<LocalProcess in {self._folder}>"

    def _process(self) -> psutil.Process:
        found = local.processes(self._folder)
        if not found:
            raise ServerUnavailable(f"the server does not run: {local.trouble(self._folder)}")
        return found[0]

    def kill(self) -> None:
        local.stop(self._folder)

    def stop(self) -> None:
        process = self._process()
        with suppress(psutil.NoSuchProcess):
            process.terminate()
        if psutil.wait_procs([process], timeout=END_S)[1]:
            raise ServerUnavailable(f"the server had not shut down after {END_S:g} s")

    def start(self) -> None:
        if local.processes(self._folder):  # it did not end
            return
        # What the first start ran, to make the accounts, is gone.
        words = [word for word in self._command if not word.startswith("--init-file=")]
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self._started = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                cwd=self._folder,
            )  # fmt: skip

    def freeze(self) -> None:
        """Returns when it stands still: on a busy machine its threads run on for a moment."""
        process = self._process()
        process.suspend()
        until_s = time.monotonic() + STANDS_S
        while not stands_still(process) and time.monotonic() < until_s:
            time.sleep(0.001)

    def thaw(self) -> None:
        with suppress(ServerUnavailable, psutil.NoSuchProcess):
            self._process().resume()

    def slow(self, share: float) -> None:
        """It is stopped and resumed, so that it runs for ``share`` of the time."""
        over = self._slowed = threading.Event()
        process = self._process()

        def alternate() -> None:
            ran_s = SLICE_S * share
            with suppress(psutil.NoSuchProcess):
                while not over.is_set():
                    process.suspend()
                    # On a busy machine we wake late, and it has run for longer than it should have.
                    over.wait(ran_s * (1 - share) / share)
                    process.resume()
                    resumed_s = time.monotonic()
                    over.wait(SLICE_S * share)
                    ran_s = time.monotonic() - resumed_s

        self._slower = threading.Thread(target=alternate, name="slow server", daemon=True)
        self._slower.start()

    def full_speed(self) -> None:
        if self._slowed is not None and self._slower is not None:
            self._slowed.set()
            self._slower.join()
        self._slowed = self._slower = None
        self.thaw()


class Container:
    """The MySQL of the Compose project in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._id = compose.container_id(folder)
        self._cpus = compose.docker(["inspect", "--format", "{{.HostConfig.NanoCpus}}", self._id])
        self._frozen = self._is_slow = False

    def __repr__(self) -> str:
        return f"<Container {self._id[:12]}>"

    def kill(self) -> None:
        compose.docker(["kill", self._id])

    def stop(self) -> None:
        compose.docker(["stop", "-t", f"{END_S:.0f}", self._id])

    def start(self) -> None:
        compose.docker(["start", self._id])

    def freeze(self) -> None:
        self._frozen = True
        compose.docker(["pause", self._id])

    def thaw(self) -> None:
        if self._frozen and compose.docker(["inspect", "--format", "{{.State.Paused}}", self._id]) == "true":
            compose.docker(["unpause", self._id])
        self._frozen = False

    def slow(self, share: float) -> None:
        """Docker gives it ``share`` of the CPU that it had."""
        self._is_slow = True
        compose.docker(["update", "--cpus", f"{share * int(self._cpus) / 1e9:.3f}", self._id])

    def full_speed(self) -> None:
        if self._is_slow:
            compose.docker(["update", "--cpus", f"{int(self._cpus) / 1e9:.3f}", self._id])
        self._is_slow = False
