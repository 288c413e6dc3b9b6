"""From Locust's start of a test to its end: folder, monitor, workers, and when it is over.

The master, or a single process, makes the folder, starts the monitor and says when to begin; each
worker runs a generator and writes its own rows.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.event import Event
from gevent.lock import RLock

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError, ServerUnavailable, UsageError
from loadtest.fleet import resolver
from loadtest.fleet.generator import Assignment, Generator
from loadtest.fleet.strategies import arm_name
from loadtest.provenance import machine
from loadtest.records import Invocation
from loadtest.settings import Settings
from loadtest.store import Repetition, RunFolder

log = logging.getLogger("loadtest")
START, DONE, FAILED = "loadtest_start", "loadtest_done", "loadtest_failed"
WORKERS_LEAD_S = 3.0  # to reach all workers, and for them to get ready
HURRY_S = 2.0


class Run:
    """The tests of one Locust process, one after another. ``on_row``, if any, hears of each invocation."""

    def __init__(self, environment: Any, on_row: Callable[[Invocation], None] | None) -> None:
        self.environment = environment
        self.generator: Generator | None = None
        self.interrupted = False
        self._on_row = on_row
        self._server = server_from_environment("LOADTEST_DSN")
        self._described: dict[str, Any] | None = None
        self._folder: RunFolder | None = None
        self._repetition: Repetition | None = None
        self._t0_monotonic = 0.0
        self._monitor: subprocess.Popen[bytes] | None = None
        self._done_count = 0
        self._all_done = Event()
        self._closing = RLock()
        self._indices: list[int] = []
        self._next_index = 0
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection is an open file
        resolver.install()
        runner = environment.runner
        if self.is_master:
            runner.register_message(DONE, self._worker_done)
            runner.register_message(FAILED, self._worker_failed)
        elif self.is_worker:
            runner.register_message(START, self._told_to_start)

    @property
    def is_master(self) -> bool:
        return type(self.environment.runner).__name__ == "MasterRunner"

    @property
    def is_worker(self) -> bool:
        return type(self.environment.runner).__name__ == "WorkerRunner"

    # Beginning

    def prepare(self) -> None:
        """What may be wrong with the server is known before Locust starts. Raises LoadtestError."""
        self._described = describe()

    def begin(self, settings: Settings, strategy: str, users_count: int) -> None:
        """On the master or single process, before any user is spawned."""
        described, self._described = self._described or describe(), None
        t0_monotonic = float(os.environ.get("LOADTEST_T0_MONOTONIC") or time.monotonic())
        self._t0_monotonic = t0_monotonic
        self._repetition = self._make_folder(settings, strategy, described, t0_monotonic)
        self._start_monitor(self._repetition, t0_monotonic)
        workers_count = self.environment.runner.worker_count if self.is_master else 1
        assignment = Assignment(
            strategy=strategy,
            t0_monotonic=t0_monotonic,
            repetition=str(self._repetition.path.absolute()),
            users_count=users_count,
            workers_count=workers_count,
            max_connections=described["functions_max_connections"],
        )
        self.interrupted, self._done_count = False, 0
        self._all_done.clear()
        if self.is_master:
            start_s = time.monotonic() - t0_monotonic + WORKERS_LEAD_S + users_count / 1000
            whole = {"assignment": assignment._asdict(), "settings": msgspec.to_builtins(settings)}
            self.environment.runner.send_message(START, {**whole, "start_s": start_s})
        else:
            self._make_generator(settings, assignment)
            # Locust spawns some thousand users a second: all of them have joined by then.
            start_s = time.monotonic() - t0_monotonic + 0.5 + users_count / 1000
            self._start_generator(start_s)
        self._repetition.write_meta(
            start_s=start_s, deadline_s=start_s + settings.duration_s, workers_count=workers_count
        )
        gevent.spawn(self._end_when_done)

    def _make_folder(
        self, settings: Settings, strategy: str, described: dict[str, Any], t0_monotonic: float
    ) -> Repetition:
        given = os.environ.get("LOADTEST_REPETITION")
        if given:
            return Repetition.at(given)
        path = free_path(Path(os.environ.get("LOADTEST_OUT") or f"results/{time.strftime('%Y%m%d-%H%M%S')}"))
        self._folder = RunFolder.create(path)
        t0 = time.time() - (time.monotonic() - t0_monotonic)
        self._folder.write_run(
            {
                "settings": {
                    **msgspec.to_builtins(settings),
                    "scenario": "by hand",
                    "strategies": [strategy],
                },
                "server": described,
                "environment": machine(),
                "t0": t0,
                "warnings": described.get("warnings", []),
            }
        )
        log.info("rows go to %s", path)
        return self._folder.next_repetition(arm_name(strategy)).create()

    def _start_monitor(self, repetition: Repetition, t0_monotonic: float) -> None:
        admin = os.environ.get("LOADTEST_ADMIN_DSN") or os.environ["LOADTEST_DSN"]
        environment = {**os.environ, "LOADTEST_ADMIN_DSN": admin, "LOADTEST_T0_MONOTONIC": repr(t0_monotonic)}
        self._monitor = subprocess.Popen(
            [sys.executable, "-m", "loadtest.server.monitor", str(repetition.samples)],
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    # Workers

    def _told_to_start(self, environment: Any, msg: Any, **_: Any) -> None:
        assignment = Assignment(**msg.data["assignment"])._replace(worker=environment.runner.worker_index)
        try:
            self._make_generator(msgspec.convert(msg.data["settings"], Settings), assignment)
            self._start_generator(msg.data["start_s"])
        except LoadtestError as error:
            environment.runner.send_message(FAILED, {"exit_code": error.exit_code, "text": str(error)})
            return
        gevent.spawn(self._end_when_done)

    def _make_generator(self, settings: Settings, assignment: Assignment) -> None:
        self._indices, self._next_index = [], assignment.worker
        self.generator = Generator(settings, assignment, self._server, self._on_row, self.fail)

    def _start_generator(self, start_s: float) -> None:
        assert self.generator is not None  # noqa: S101 (made by the caller)
        self.generator.start(start_s)

    def new_index(self) -> int:
        """Numbers of users are unique over all workers: worker w of n has w, w + n, w + 2n, …"""
        if self._indices:
            return self._indices.pop()
        index = self._next_index
        self._next_index += self.generator.assignment.workers_count if self.generator else 1
        return index

    def free_index(self, index: int) -> None:
        self._indices.append(index)
        self._indices.sort(reverse=True)

    # The end

    def _end_when_done(self) -> None:
        """What was due is answered: over, whatever time Locust would still give."""
        generator, runner = self.generator, self.environment.runner
        if generator is not None:
            generator.drained.wait()
            self.close_generator()
        if self.is_worker:
            return
        if self.is_master:
            self._all_done.wait()
        self.finish()
        if runner.state in ("spawning", "running"):
            if self.environment.web_ui is None:
                runner.quit()
            else:
                runner.stop()

    def close_generator(self) -> None:
        """The last rows; safe to call again.

        Whoever comes second waits for the first: what follows may end the process, and a native thread
        that is still writing then aborts it.
        """
        with self._closing:
            generator, self.generator = self.generator, None
            if generator is None:
                return
            generator.close(hurry=self.interrupted)
            self._note(deadline_s=generator.deadline_s)
            if self.is_worker:
                self.environment.runner.send_message(DONE, {"deadline_s": generator.deadline_s})

    def stopping(self) -> None:
        """Locust stops the test: by its own clock, by the web page, or by a signal."""
        self.close_generator()
        if self.is_master and not self.interrupted:
            self._all_done.wait(HURRY_S)

    def finish(self) -> None:
        """Monitor ended, the repetition marked as whole; safe to call again."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.terminate()
            try:
                monitor.wait(5)
            except subprocess.TimeoutExpired:
                monitor.kill()
        if self._repetition is not None:
            self._note(cut_off=self.interrupted, ended_s=time.monotonic() - self._t0_monotonic)
            self._repetition = None

    def _note(self, **values: Any) -> None:
        """Of the repetition as a whole; workers know nothing of it."""
        try:
            if self._repetition is not None:
                self._repetition.write_meta(**values)
        except LoadtestError as error:
            self.fail(error)

    def _worker_done(self, msg: Any, **_: Any) -> None:
        self._done_count += 1
        if self._repetition is not None:
            known_s = self._repetition.read_meta().get("deadline_s", msg.data["deadline_s"])
            self._note(deadline_s=min(known_s, msg.data["deadline_s"]))
        if self._done_count >= self.environment.runner.worker_count:
            self._all_done.set()

    def _worker_failed(self, msg: Any, **_: Any) -> None:
        self.end(msg.data["exit_code"], msg.data["text"])

    def fail(self, error: LoadtestError) -> None:
        """Results cannot be written: nothing that follows would count."""
        if self.is_worker:
            self.environment.runner.send_message(FAILED, {"exit_code": error.exit_code, "text": str(error)})
        else:
            self.end(error.exit_code, str(error))

    def end(self, exit_code: int, text: str) -> None:
        log.error(text)
        self.environment.process_exit_code = exit_code
        gevent.spawn(self.environment.runner.quit)


def describe() -> dict[str, Any]:
    """Version and size of the server; its tables are made, too. The bench has done that already."""
    known = os.environ.get("LOADTEST_SERVER")
    if known:
        return dict(json.loads(known))
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.server.prepare"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        kind = UsageError if done.returncode == UsageError.exit_code else ServerUnavailable
        raise kind(done.stderr.strip() or "the server could not be prepared")
    return dict(json.loads(done.stdout))


def server_from_environment(name: str) -> Dsn:
    """Raises :class:`ServerUnavailable` when it is not set."""
    text = os.environ.get(name)
    if not text:
        raise ServerUnavailable(
            f"no server: set {name} to mysql://user:password@host:port/database, "
            "or run `loadtest server up`, which prints it"
        )
    return Dsn.parse(text)


def free_path(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that is not taken."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free
