"""``loadtest worker``: Locust workers, each a process that is started anew after every repetition."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from loadtest import remote
from loadtest.bench import locust_command, process_group
from loadtest.bench.addresses import in_address
from loadtest.bench.interrupts import Interrupts
from loadtest.bench.process_group import Say
from loadtest.errors import LoadtestError, ServerUnavailable, UsageError

SOON_S = 10.0  # after its start
FAILURES_COUNT = 3  # as soon as that, one after the other: the next start would not help either
LOOK_S = 0.1


class Workers:
    """``count`` workers for the master on ``at``, host and port, until they are ended.

    A Locust worker ends with its master, and each repetition has a master of its own. ``dsn`` is the server
    with its password, or "" if the master will name it; ``say`` prints.
    """

    def __init__(self, count: int, at: tuple[str, int], dsn: str, interrupts: Interrupts, say: Say) -> None:
        self._at = at
        self._dsn = dsn
        self._interrupts = interrupts
        self._say = say
        self._count = count

    def run(self) -> None:
        """Runs until a signal comes: raises :class:`Interrupted`. Raises LoadtestError if a worker fails."""
        with tempfile.TemporaryDirectory(prefix="loadtest-worker-") as home:
            workers = [self._worker(Path(home), number) for number in range(self._count)]
            try:
                where = f"{in_address(self._at[0])}:{self._at[1]}"
                many = "a worker waits" if self._count == 1 else f"{self._count} workers wait"
                self._say(f"{many} for a bench at {where}  (Ctrl-C ends this)", err=True)
                while True:
                    for worker in workers:
                        worker.look()
                    self._interrupts.check()
                    time.sleep(LOOK_S)
            finally:
                for worker in workers:
                    worker.end()

    def _worker(self, home: Path, number: int) -> "_Worker":
        allowed = remote.PASSED_ON if remote.allowed_in(os.environ) else {}
        dsn = {"LOADTEST_DSN": self._dsn} if self._dsn else {}
        env = locust_command.environment(home, {**dsn, **allowed})
        words = locust_command.worker_command(*self._at)
        return _Worker(words, home, number, env, self._interrupts, self._say)


class _Worker:
    """One of them."""

    def __init__(
        self, words: list[str], home: Path, number: int, env: dict[str, str], interrupts: Interrupts, say: Say
    ) -> None:
        self._words, self._home, self._env = words, home, env
        self._log = home / f"worker-{number}.log"
        self._interrupts, self._say = interrupts, say
        self._process: subprocess.Popen[bytes] | None = None
        self._began_s = 0.0
        self._told = self._failures_count = 0

    def look(self) -> None:
        """Starts it if it has ended. Raises LoadtestError where that would never help."""
        if self._process is not None:
            if self._process.poll() is None:
                self._told = process_group.pass_on(self._log, self._told, self._say)
                return
            self._see_end(self._process.returncode)
            self._log.unlink(missing_ok=True)
        with self._interrupts.deferred():
            self._told, self._began_s = 0, time.monotonic()
            self._process = process_group.start(self._words, self._home, self._log, self._env)

    def end(self) -> None:
        """Ends it, and all that it started."""
        if self._process is not None:
            with self._interrupts.deferred():
                process_group.end(self._process, hurry=lambda: self._interrupts.hurry)

    def _see_end(self, code: int) -> None:
        """Raises LoadtestError if its end, with ``code``, will be that of the next one, too."""
        soon = time.monotonic() - self._began_s < SOON_S
        self._failures_count = self._failures_count + 1 if code and soon else 0
        if code == 0:
            return
        said = process_group.complaint(self._log) or process_group.last_line(self._log)
        if code == UsageError.exit_code and soon:
            raise UsageError(said)
        if code == ServerUnavailable.exit_code and soon:
            raise ServerUnavailable(said)
        if self._failures_count >= FAILURES_COUNT:
            raise LoadtestError(f"a worker ended with {code} at once, and {FAILURES_COUNT} times: {said}")
        self._say(f"loadtest: warning: a worker ended with {code} and is started again: {said}", err=True)
