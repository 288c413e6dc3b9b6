"""One test from Locust's start to its end: folder, monitor and workers.

The master, or a single process, creates the folder, starts the monitor and sets the start time. Each worker
runs a generator and writes its own rows.
"""

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from math import inf
from typing import Any

import gevent
import msgspec
from gevent.lock import RLock
from locust.runners import MasterRunner, WorkerRunner

from loadtest import ways
from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError
from loadtest.fleet import resolver
from loadtest.fleet.generator import Assignment, Generator
from loadtest.fleet.lifecycle import moved
from loadtest.open_files import allow_open_files
from loadtest.results import notice
from loadtest.results.clocks import clock_warning
from loadtest.results.provenance import made_on
from loadtest.results.rows import Invocation
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.settings.plan import Settings, drain_s, provisioning_s
from loadtest.settings.strategy import parse
from loadtest.swarm.master import DIE, DONE, START, STOP, Master
from loadtest.swarm.monitor_process import MonitorProcess, wait_for_sample
from loadtest.swarm.orders import (
    as_seen_from_master,
    hints,
    names_of,
    server_for,
    server_of_process,
    settings_in,
)
from loadtest.swarm.phases import TRANSITIONS, Event, Phase
from loadtest.swarm.process_setup import (
    audit,
    describe,
    functions_of,
    make_folder,
    users_modules,
)
from loadtest.swarm.pulse import watch_master
from loadtest.swarm.remote_load import check_order, say_harm
from loadtest.swarm.roster import Numbers, Roster
from loadtest.swarm.worker_clock import MastersClock
from loadtest.swarm.worker_files import is_shared, own_folder, taken_home

log = logging.getLogger("loadtest")
FAILED = "loadtest_failed"
LEAD_S = 1.0  # for the users to join: a late one makes the repetition invalid
WORKERS_LEAD_S = 3.0  # to reach all workers, and for them to get ready
HURRY_S = 3.0
HEED_S = 0.05
LAST_ROWS_S = 15.0  # after its drain, for a worker to write and send them


class Run:
    """The tests of one Locust process, one after another. ``listeners`` are called with each invocation.

    ``trouble`` says what ended a test that was started from the web page; without a page, it ends the
    process.
    """

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.phase = Phase.IDLE
        self.generator: Generator | None = None
        self.repetition: Repetition | None = None
        self.folder: RunFolder | None = None
        self.listeners: list[Callable[[Invocation, Generator], None]] = []
        self.interrupted = False
        self.trouble = ""
        self._server = server_of_process(may_be_told=self.is_worker)
        self._described: dict[str, Any] | None = None
        self.t0_monotonic_s = 0.0
        self._monitor: MonitorProcess | None = None
        self._roster = Roster((), 0)
        self._distant: Repetition | None = None  # of a worker that shares no folder with its master
        self._clock_error_s = 0.0
        self._drain_s, self._workload = 0.0, ""
        told = os.environ.get(notice.VARIABLE)
        self._notices = notice.Notices(told) if told else None
        self._closing = RLock()
        self.numbers = Numbers(0, 1)
        allow_open_files()
        resolver.install()
        runner = environment.runner
        self._master: Master | None = None
        if self.is_master:
            self._master = Master(environment, self._worker_done, self._not_valid)
            runner.register_message(FAILED, self._worker_failed)
        elif self.is_worker:
            self._clock = MastersClock(runner)
            # Workers of the bench's own processes have its server by their environment.
            self._server_names = [] if "LOADTEST_REPETITION" in os.environ else names_of(self._server)
            runner.register_message(START, self._told_to_start)
            runner.register_message(STOP, self._told_to_stop)
            runner.register_message(DIE, lambda **_: os.kill(os.getpid(), signal.SIGKILL))
            watch_master(environment, self._masterless)

    def __repr__(self) -> str:
        where = f" in {self.repetition.path}" if self.repetition is not None else ""
        return f"<Run {self.phase.name}{where}, {len(self._roster.open)} workers at work>"

    def _move(self, event: Event) -> None:
        """Raises :class:`~loadtest.fleet.lifecycle.IllegalMove`."""
        self.phase = moved(TRANSITIONS, self.phase, event, self)

    @property
    def is_master(self) -> bool:
        return isinstance(self.environment.runner, MasterRunner)

    @property
    def is_worker(self) -> bool:
        return isinstance(self.environment.runner, WorkerRunner)

    # Beginning

    def prepare(self, tls: str) -> None:
        """Finds out what is wrong with the server before Locust starts. Raises LoadtestError.

        ``tls`` is the setting of that name.
        """
        self._described = describe(tls)

    def begin(self, settings: Settings, strategy: str, users_count: int) -> None:
        """Starts a test on the master or single process, before any user is spawned.

        ``strategy`` is a text of the command line, and ``users_count`` Locust's users, over all workers.
        Raises LoadtestError where the server or the folder is not to be had.
        """
        self._move(Event.BEGIN)
        self.trouble = ""
        say_harm(settings)
        described, self._described = self._described or describe(settings.tls), None
        t0_monotonic_s = float(os.environ.get("LOADTEST_T0_MONOTONIC") or time.monotonic())
        self.t0_monotonic_s = t0_monotonic_s
        self.folder, self.repetition = make_folder(settings, strategy, described, t0_monotonic_s)
        functions = functions_of(strategy)
        if functions:
            self.repetition.write_meta(functions=functions)
        proxy = ways.taken((part.via for part in parse(strategy)), ways.proxies_in(os.environ))
        if proxy is not None:
            self.repetition.write_meta(proxy={"name": proxy.name, "kind": proxy.way.kind})
        self._monitor = MonitorProcess(self.repetition, t0_monotonic_s, proxy)
        wait_for_sample(self.repetition)
        self._roster = self._master.muster(users_count) if self._master else Roster([""], users_count)
        workers_count = len(self._roster.places)
        assignment = Assignment(
            strategy=strategy,
            t0_monotonic_s=t0_monotonic_s,
            repetition=str(self.repetition.path.absolute()),
            users_count=users_count,
            workers_count=workers_count,
            max_connections=described["functions_max_connections"],
        )
        self.interrupted = False
        self._drain_s, self._workload = drain_s(settings), settings.workload
        # Locust spawns some thousand users a second: all of them have joined by then.
        lead_s = users_count / 1000 + provisioning_s(settings, strategy)
        if self._master is not None:
            token = secrets.token_hex(8)
            self.repetition.write_meta(token=token)
            start_s = time.monotonic() - t0_monotonic_s + WORKERS_LEAD_S + lead_s
            whole = {"assignment": assignment._asdict(), "settings": msgspec.to_builtins(settings)}
            order = {**whole, "start_s": start_s, "masters_s": time.monotonic(), "token": token}
            self._master.start({**order, **hints(self._server, described)})
        else:
            self._make_generator(settings, assignment, server_for(self._server, ""))
            start_s = time.monotonic() - t0_monotonic_s + LEAD_S + lead_s
            self._start_generator(start_s)
        self.repetition.write_meta(
            start_s=start_s, deadline_s=start_s + settings.duration_s, workers_count=workers_count
        )
        until_s = start_s + settings.duration_s + self._drain_s + LAST_ROWS_S
        gevent.spawn(self._end_when_done, until_s)
        if self._notices is not None:
            gevent.spawn(self._heed, self._notices)

    def _heed(self, notices: notice.Notices) -> None:
        """Does what the bench's notices say of the monitor and of workers, until the test ends."""
        killed_count = 0
        while (monitor := self._monitor) is not None:
            newest = notices.newest()
            monitor.heed(is_down=newest.is_monitor_down)
            if self._master is not None and newest.killed_workers_count > killed_count:
                killed_count += 1
                self._master.kill_one()
            gevent.sleep(HEED_S)

    # Workers

    def _told_to_start(self, environment: Any, msg: Any, **_: Any) -> None:
        order = msg.data
        place = order["places"].get(environment.runner.client_id)
        if place is None:  # our master had missed us, and so gave our clients to others
            return
        self._move(Event.BEGIN)
        assignment = Assignment(**order["assignment"])._replace(worker=place)
        self._distant, self._clock_error_s = None, 0.0
        try:
            settings = settings_in(order, self.environment)
            server = server_for(self._server, order["dsn"])
            check_order(self._server, self._server_names, order)
            if not is_shared(Repetition.at(assignment.repetition), order["token"]):
                self._distant = own_folder()
                assignment = assignment._replace(repetition=str(self._distant.path))
            # Our clock may be another one: known to within the time of the order, and set right below.
            began_s = assignment.t0_monotonic_s + time.monotonic() - order["masters_s"]
            assignment = assignment._replace(t0_monotonic_s=began_s)
            self._make_generator(settings, assignment, server, is_bench=order["is_bench"])
            self._start_generator(order["start_s"])
        except LoadtestError as error:
            self._move(Event.CLOSE)
            log.error(str(error))
            self.fail(as_seen_from_master(error))
            return
        gevent.spawn(self._set_clock, order["assignment"]["t0_monotonic_s"])
        gevent.spawn(self._end_when_done, inf)

    def _told_to_stop(self, **_: Any) -> None:
        gevent.spawn(self.close_generator)

    def _masterless(self) -> None:
        log.error("the master has been silent for 10 s: this worker ends its load, which nobody will count")
        self.interrupted = True
        self.close_generator()
        self.environment.runner.quit()

    def _set_clock(self, masters_t0_s: float) -> None:
        """Sets the exact time before the start. Clocks of the same machine are the same clock."""
        try:
            difference_s, error_s = self._clock.ask()
        except LoadtestError as error:
            self.fail(error)
            return
        if self.generator is not None:
            same = abs(difference_s) <= error_s
            # Those who share a folder and a clock are on one machine, however slow the answers were.
            self._clock_error_s = 0.0 if same and self._distant is None else error_s
            self.generator.clock.t0_monotonic_s = masters_t0_s + (0.0 if same else difference_s)

    def _make_generator(
        self, settings: Settings, assignment: Assignment, server: Dsn, *, is_bench: bool = False
    ) -> None:
        """In a bench nobody listens: Locust's statistics cost a tenth of a process at saturation."""

        def told(row: Invocation) -> None:
            for listener in self.listeners:
                listener(row, made)

        self.numbers = Numbers(assignment.worker, assignment.workers_count)
        hears = told if self.listeners and not is_bench else None
        made = self.generator = Generator(
            settings, assignment, server, hears, self.fail, users_modules(), self._notices,
            ways.proxies_in(os.environ),
        )  # fmt: skip

    def _start_generator(self, start_s: float) -> None:
        assert self.generator is not None  # noqa: S101 (made by the caller)
        self.generator.start(start_s)

    # The end

    def _end_when_done(self, until_s: float) -> None:
        """Ends the test once everything that was due has been answered, or at ``until_s``."""
        generator, runner = self.generator, self.environment.runner
        if generator is not None:
            generator.drained.wait()
            self.close_generator()
        if self.is_worker:
            return
        if self._master is not None:
            self._master.wait(self.t0_monotonic_s + until_s)
        self.finish()
        # Without a worker that is left Locust has stopped the test, and would wait for its own time to end.
        nobody_left = self.is_master and not runner.worker_count
        if self.environment.web_ui is None and (nobody_left or runner.state in ("spawning", "running")):
            runner.quit()
        elif runner.state in ("spawning", "running"):
            runner.stop()

    def close_generator(self) -> None:
        """Writes the last rows; safe to call again.

        A second caller waits for the first: afterwards the process may exit, which a native thread that is
        still writing would abort.
        """
        with self._closing:
            generator, self.generator = self.generator, None
            if generator is None:
                return
            self._move(Event.CLOSE)
            generator.close(hurry=self.interrupted)
            self._note(deadline_s=generator.deadline_s)
            if self.is_worker:
                distant, place = self._distant, generator.assignment.worker
                done = {
                    "deadline_s": generator.deadline_s,
                    "files": taken_home(distant) if distant is not None else {},
                    "machine": made_on(place) if distant is not None else None,
                    "error_s": self._clock_error_s,
                    "presence": (*generator.presence(), self.interrupted),
                }
                self.environment.runner.send_message(DONE, done)
            else:
                self._roster.done("", *generator.presence())

    def stopping(self) -> None:
        """Locust stops the test, because of its own time limit, the web page, or a signal."""
        self.close_generator()
        if self._master is not None and not self.interrupted:
            self._master.stop(self._drain_s + HURRY_S)

    def finish(self) -> None:
        """Ends the monitor and marks the repetition as complete; safe to call again."""
        if self.phase is not Phase.IDLE:
            self._move(Event.FINISH)
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.end()
        if self.repetition is not None:
            self._note(cut_off=self.interrupted, ended_s=time.monotonic() - self.t0_monotonic_s)
            if not self.interrupted:
                self._judge_load()
                self._audit_ledger(self.repetition)
            self.repetition = None

    def _audit_ledger(self, repetition: Repetition) -> None:
        """A bench does this itself, once the process that made the load has ended."""
        if self.folder is None or self._workload != "ledger":
            return
        try:
            repetition.write_meta(ledger=audit(repetition))
        except LoadtestError as error:
            self.fail(error)

    def _judge_load(self) -> None:
        """Marks a repetition as invalid if its load was not what was asked for."""
        if self._master is not None:
            self._master.lose(self._roster.open)
        reasons = self._roster.verdict()
        if reasons:
            self._note(wrong_load=reasons)
            self._not_valid(reasons[-1])

    def _not_valid(self, reason: str) -> None:
        text = f"this test is not valid: {reason}"
        log.warning(text)
        self.trouble = self.trouble or text

    def _note(self, **values: Any) -> None:
        """Stores values about the whole repetition; not on workers."""
        try:
            if self.repetition is not None:
                self.repetition.write_meta(**values)
        except LoadtestError as error:
            self.fail(error)

    def _worker_done(self, done: dict[str, Any]) -> None:
        if self.repetition is not None:
            self._take_home(self.repetition, done)
            known_s = self.repetition.read_meta().get("deadline_s", done["deadline_s"])
            self._note(deadline_s=min(known_s, done["deadline_s"]))

    def _take_home(self, repetition: Repetition, done: dict[str, Any]) -> None:
        """Stores the rows of a worker on another machine, and how well its clock is known."""
        try:
            repetition.unpack(done["files"])
            error_s = max(repetition.read_meta().get("clock_error_s", 0.0), done["error_s"])
            repetition.write_meta(clock_error_s=error_s)
            if done["machine"]:
                known = repetition.read_meta().get("machines", [])
                repetition.write_meta(machines=[*known, done["machine"]])
            if self.folder is not None and clock_warning(error_s):
                self.folder.add_warning(clock_warning(error_s))
        except LoadtestError as error:
            self.fail(error)

    def _worker_failed(self, msg: Any, **_: Any) -> None:
        if msg.node_id in self._roster.places:  # and not a message to an earlier master, sent late
            self.end(msg.data["exit_code"], msg.data["text"])

    def fail(self, error: LoadtestError) -> None:
        """Ends the test because results cannot be written."""
        if self.is_worker:
            self.environment.runner.send_message(FAILED, {"exit_code": error.exit_code, "text": str(error)})
        else:
            self.end(error.exit_code, str(error))

    def end(self, exit_code: int, text: str) -> None:
        """Ends the test because of ``text``, and without a page the process, with ``exit_code``."""
        log.error(text)
        if self.environment.web_ui is not None:
            self.trouble = text
            gevent.spawn(self.environment.runner.stop)
            return
        self.environment.process_exit_code = exit_code
        gevent.spawn(self.environment.runner.quit)
