"""A run: all repetitions of all arms, interleaved, each in its own Locust process."""

import errno
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec

from loadtest import remote
from loadtest.bench import locust_command, process_group
from loadtest.bench.addresses import numeric
from loadtest.bench.fault_schedule import FaultSchedule
from loadtest.bench.interrupts import Interrupts
from loadtest.bench.meeting import Meeting
from loadtest.bench.pausing import PAUSING_RELAYED, pausing
from loadtest.bench.progress import Progress
from loadtest.bench.strategy_check import checked
from loadtest.errors import (
    ADVICE_ENDS,
    CANNOT_WRITE,
    Interrupted,
    LoadtestError,
    ResultsError,
    ServerLost,
    UsageError,
    cannot_write,
)
from loadtest.results.clocks import clock_warning
from loadtest.results.csv_rows import last_rows
from loadtest.results.parquet import read_rows
from loadtest.results.provenance import machine, repeat_command, versions
from loadtest.results.rows import GeneratorSecond, Sample
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.server import ledger
from loadtest.server.choice import ServerChoice
from loadtest.server.diagnosis import lost, trouble
from loadtest.server.fault_checks import check_faults
from loadtest.server.full_disk import only_docker
from loadtest.server.launch import check, launched
from loadtest.server.password_rotation import replaced_by
from loadtest.server.proxies import launched_proxies
from loadtest.server.proxy_status import listens
from loadtest.server.reset import reset
from loadtest.server.restrictions import check_tls
from loadtest.server.target import Target
from loadtest.settings.fault import Needs, faults_in
from loadtest.settings.plan import Plan, drain_s, provisioning_s
from loadtest.settings.prices import prices_in
from loadtest.settings.profiles import profile_of
from loadtest.settings.strategy import arm_name, parse
from loadtest.settings.via import vias_in
from loadtest.ways import Way, taken, told

LOST_S = 3.0  # so long the monitor has to fail before the server counts as lost
FULL = ("1040", "1203", "1226")
START_S = 30.0  # for Locust to come up, and to end after the drain
RELAYED = (
    "because of its faults, all of its connections passed through a relay, which adds to every round trip: "
    "compare it only with other such runs"
)
HINT_S = 5.0  # of waiting for workers: those that are there come sooner
log = logging.getLogger("loadtest")


Tell = Callable[[Progress], None]


class Bench:
    """One run.

    ``tell`` is called with the progress about once a second; ``budgets`` are stored with the run. ``note`` is
    told what is installed before the run, and ``warn`` which strategies are left out. ``meeting`` is for the
    plan's workers, if it has any. A ``trial`` of a search is stored with the run, whose folder is then a part
    of another one.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        interrupts: Interrupts,
        tell: Tell,
        budgets: Sequence[str] = (),
        note: Callable[[str], None] = log.warning,
        warn: Callable[[str], None] = log.warning,
        meeting: Meeting = Meeting(),  # noqa: B008 - a constant
        trial: Mapping[str, Any] | None = None,
    ) -> None:
        self._plan = plan
        self._meeting = meeting
        self._interrupts = interrupts
        self._tell = tell
        self._budgets = list(budgets)
        self._note, self._warn = note, warn
        self._strategies = plan.strategies
        self._left_out: list[str] = []
        self._trial = trial
        self._faults = faults_in(plan.faults, plan.duration_s)
        self._second: Target | None = None  # after a failover
        self._vias = vias_in(plan.via, plan.strategies)
        self._prices = prices_in(plan.prices)
        self._proxies: dict[str, Way] = {}
        self._hinted = ""  # the repetition of which it was said that it waits
        self._t0_s, self._t0_monotonic_s = time.time(), time.monotonic()
        self.folder = RunFolder(out)
        self.measured = False

    def __repr__(self) -> str:
        plan = self._plan
        arms = f"{len(plan.strategies)} arms, {plan.repetitions} repetitions each"
        return f"<Bench of {arms}, in {self.folder.path}>"

    def run(self, choice: ServerChoice) -> RunFolder:
        """Runs on a server that is started for it.

        Raises whatever ends the run; the folder keeps what was measured.
        """
        check(choice, self._plan.max_connections)
        if self._plan.workers:
            self._meeting.check(choice)
        restarts = any(fault.kind.needs is Needs.PROCESS for fault in self._faults)
        filling = [fault.text for fault in self._faults if fault.kind.needs is Needs.DISK]
        if filling and (choice.dsn is not None or choice.kind == "local"):
            raise UsageError(only_docker(filling[0]))
        size = self._plan.max_connections
        profile = profile_of(self._plan.profile)
        server = launched(choice, size, restarts=restarts, fills=bool(filling), profile=profile)
        failing = [fault.text for fault in self._faults if fault.kind.needs is Needs.SECOND]
        if failing and choice.dsn is not None:
            raise UsageError(
                f"fault {failing[0]!r} cannot be on a given server: it takes a second one, so let loadtest "
                "start both (--server docker or local)"
            )
        return self.run_on(server, launched(choice, size) if failing else nullcontext())

    def run_on(
        self,
        server: AbstractContextManager[Target],
        second: AbstractContextManager[Target | None] = nullcontext(),  # noqa: B008 - a constant
    ) -> RunFolder:
        """Runs on the caller's server, which is entered once everything else has been checked.

        ``second`` takes its place after a failover.

        A strategy that needs what is not on this machine is left out, with a warning, if there are others.
        Raises :class:`UsageError` for strategies that cannot run there, and whatever ends the run; the folder
        keeps what was measured.
        """
        self._strategies, self._left_out = checked(self._plan.strategies, self._plan, self._note)
        for text in self._left_out:
            self._warn(text)
        check_size(self._plan)
        self.folder = RunFolder.create(self.folder.path, is_part=self._trial is not None)
        try:
            with (
                server as target,
                second as self._second,
                launched_proxies(self._vias, target, self._plan.tls) as self._proxies,
            ):
                if self._second is not None:
                    self._second = replaced_by(self._second, target)
                self._write_run(target)
                self._measure(target)
        except BaseException as error:
            self.measured = self.measured and self._keeps(error)
            if not self.measured:
                self.folder.remove()
            raise
        return self.folder

    def _keeps(self, error: BaseException) -> bool:
        """Without any row, a folder is kept only if Locust failed: its log says why."""
        known = isinstance(error, (Interrupted, ServerLost, ResultsError))
        return not known or any(
            len(read_rows(repetition, "invocations")[0])
            for arm in self.folder.arms()
            for repetition in self.folder.repetitions(arm)
        )

    def _measure(self, target: Target) -> None:
        plan = self._plan
        check_tls(target, plan.tls)
        check_faults(self._faults, target, self._second)
        for number, strategy in interleaved(self._strategies, plan.repetitions):
            self._repeat(target, strategy, f"{number}/{plan.repetitions}")
        for strategy in self._strategies:
            for rerun in range(1, self._reruns_count() + 1):
                missing = plan.repetitions - self._valid_count(arm_name(strategy))
                if missing <= 0:
                    break
                for _ in range(missing):
                    self._repeat(target, strategy, f"again {rerun}/{plan.reruns}")

    def _reruns_count(self) -> int:
        """None where a worker is killed: no repetition would be valid."""
        return 0 if any(fault.kind.needs is Needs.WORKERS for fault in self._faults) else self._plan.reruns

    def _valid_count(self, arm: str) -> int:
        from loadtest.report.figures import summarise_repetition
        from loadtest.report.frame_reader import read_repetition

        return sum(
            summarise_repetition(read_repetition(repetition), self._plan).valid
            for repetition in self.folder.repetitions(arm)
        )

    # One repetition

    def _repeat(self, target: Target, strategy: str, turn: str) -> None:
        reset(target)
        if self._second is not None:
            reset(self._second)
        self._interrupts.check()
        plan = self._plan
        repetition = self.folder.next_repetition(arm_name(strategy)).create()
        self.measured = True
        t0_s, interrupts = self._t0_monotonic_s, self._interrupts
        with (
            pausing(plan, target, repetition, t0_s, interrupts) as reached,
            FaultSchedule(
                self._faults, reached, repetition, t0_s, plan.seed, interrupts, self._second
            ) as faults,
        ):
            self._run_locust(reached, strategy, turn, repetition, faults)
        faults.check()  # its last one is undone only now
        self._check_proxy(strategy, repetition)
        for text in faults.warnings:
            self.folder.add_warning(text)
        warning = clock_warning(repetition.read_meta().get("clock_error_s", 0.0))
        if warning:
            self.folder.add_warning(f"{repetition.arm}/{repetition.number}: {warning}")
        if faults.relayed:
            self.folder.add_warning(RELAYED)
        if plan.pause_after_s:
            self.folder.add_warning(PAUSING_RELAYED)
        if plan.workload == "ledger":
            admins = [one.admin for one in (target, self._second) if one is not None]
            repetition.write_meta(ledger=ledger.audit(admins, repetition))

    def _check_proxy(self, strategy: str, repetition: Repetition) -> None:
        """Asked only now: a connect in mid-run would count on the server. Raises :class:`ServerLost`."""
        proxy = taken((part.via for part in parse(strategy)), self._proxies)
        if proxy is not None and not listens(proxy.way.dsn.host, proxy.way.dsn.port):
            repetition.write_meta(cut_off=True)
            raise ServerLost(
                f"the proxy {proxy.name!r} was lost in {repetition.arm}/{repetition.number}: nothing listens "
                f"on {proxy.way.dsn.host}:{proxy.way.dsn.port} any more"
            )

    def _run_locust(
        self, target: Target, strategy: str, turn: str, repetition: Repetition, faults: FaultSchedule
    ) -> None:
        words = self._words(strategy)
        env = locust_command.environment(
            repetition.path,
            {
                "LOADTEST_DSN": faults.functions.url(),
                "LOADTEST_ADMIN_DSN": target.admin.url(),
                "LOADTEST_REPETITION": str(repetition.path.absolute()),
                "LOADTEST_T0_MONOTONIC": repr(self._t0_monotonic_s),
                "LOADTEST_SERVER": json.dumps(target.public()),
                **remote.PASSED_ON,
                **self._waiting(),
                **told(self._proxies),
                **faults.variables,
            },
        )
        locust = None
        try:
            with self._interrupts.deferred():
                locust = process_group.start(words, repetition.path, repetition.locust_log, env)
            lead_s = provisioning_s(self._plan, strategy)
            ended = self._watch(locust, target, repetition, turn, lead_s, faults)
        finally:
            if locust is not None:
                with self._interrupts.deferred():
                    process_group.end(locust, hurry=lambda: self._interrupts.hurry)
        if ended:
            self._check_end(locust.returncode, repetition)

    def _words(self, strategy: str) -> list[str]:
        plan, meeting = self._plan, self._meeting
        if plan.workers:
            host = numeric(meeting.host)
            return locust_command.master_command(plan, strategy, plan.workers, host, meeting.port)
        return locust_command.command(plan, strategy, plan.processes)

    def _waiting(self) -> dict[str, str]:
        """What the master of workers that are started elsewhere has to know."""
        if not self._plan.workers:
            return {}
        return {
            "LOADTEST_WORKERS_WAIT": repr(self._meeting.patience_s),
            "LOADTEST_WORKER_COMMAND": self._meeting.command(),
        }

    def _watch(
        self, locust: "subprocess.Popen[bytes]", target: Target, repetition: Repetition, turn: str,
        lead_s: float, faults: FaultSchedule,
    ) -> bool:  # fmt: skip
        """Whether Locust ended by itself; ``lead_s`` is the time for what is provisioned.

        Raises :class:`ServerLost`.
        """
        plan, began, failing_since = self._plan, time.monotonic(), None
        # Locust spawns a thousand users a second at the least.
        spawn_s = locust_command.users_count(plan) / 1000
        patience_s = self._meeting.patience_s if plan.workers else 0.0
        until = began + patience_s + spawn_s + lead_s + plan.duration_s + drain_s(plan) + START_S
        while True:
            try:
                locust.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                pass
            self._interrupts.check()
            faults.check()
            if time.monotonic() > until:
                self.folder.add_warning(
                    f"{repetition.arm}/{repetition.number} did not end by itself and was cut off"
                )
                repetition.write_meta(cut_off=True)
                return False
            samples = list(last_rows(repetition.samples, Sample._fields))
            if samples and samples[-1]["error"] and not faults.excuses:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > LOST_S:
                    self._check_server(target, repetition, samples[-1]["error"])
            else:
                failing_since = None
            if self._is_waiting(repetition):
                self._hint(repetition, time.monotonic() - began)
            else:
                self._tell(self._progress(repetition, turn, samples))
        process_group.wait_for_group(locust.pid, process_group.END_S)
        samples = list(last_rows(repetition.samples, Sample._fields))
        if samples and samples[-1]["error"] and not faults.excuses:
            self._check_server(target, repetition, samples[-1]["error"])
        if not self._is_waiting(repetition):
            self._tell(self._progress(repetition, turn, samples, done=True))
        return True

    def _check_server(self, target: Target, repetition: Repetition, error: str) -> None:
        """The monitor cannot sample. Raises :class:`ServerLost` unless the server is merely full or slow,
        which is what we measure."""
        problem = "" if error.startswith(FULL) else trouble(target) or lost(target.admin)
        if problem:
            repetition.write_meta(cut_off=True)
            raise ServerLost(
                f"the server was lost in {repetition.arm}/{repetition.number} ({error}): {problem}"
            )

    def _is_waiting(self, repetition: Repetition) -> bool:
        """For workers that are started elsewhere."""
        return self._plan.workers > 0 and "start_s" not in repetition.read_meta()

    def _hint(self, repetition: Repetition, waited_s: float) -> None:
        """Once for each repetition that has to wait for long."""
        name = f"{repetition.arm}/{repetition.number}"
        if waited_s > HINT_S and name != self._hinted:
            self._hinted = name
            self._warn(
                f"{name} waits for its workers, {self._plan.workers} in all: start each with "
                f"`{self._meeting.command()}`"
            )

    def _progress(
        self, repetition: Repetition, turn: str, samples: list[dict[str, str]], *, done: bool = False
    ) -> Progress:
        newest: dict[str, dict[str, str]] = {}
        for row in last_rows(repetition.generator, GeneratorSecond._fields):
            newest[row["worker"]] = row
        start_s = repetition.read_meta().get("start_s")
        now_s = time.monotonic() - self._t0_monotonic_s
        connections = samples[-1]["connections_count"] if samples else ""
        return Progress(
            arm=repetition.arm,
            number=repetition.number,
            turn=turn,
            elapsed_s=max(0.0, min(now_s - start_s, self._plan.duration_s)) if start_s else 0.0,
            duration_s=self._plan.duration_s,
            arrivals_count=sum(int(row["arrivals_count"]) for row in newest.values()),
            errors_count=sum(int(row["errors_count"]) for row in newest.values()),
            connections_count=int(connections) if connections else None,
            zombies_count=sum(int(row["zombies_count"]) for row in newest.values()),
            done=done,
        )

    def _check_end(self, returncode: int, repetition: Repetition) -> None:
        if returncode == 0:
            return
        said = process_group.complaint(repetition.locust_log)
        if returncode == ResultsError.exit_code:
            repetition.write_meta(cut_off=True)
            if said and said.endswith(ADVICE_ENDS):
                raise ResultsError(said)
            if said and not said.startswith(CANNOT_WRITE):
                raise ServerLost(f"{repetition.arm}/{repetition.number}: {said}")
            # Only the disk that is full cuts the sentence in the log that lies on it.
            raise cannot_write(repetition.path, OSError(errno.ENOSPC, ""))
        said = said or process_group.last_line(repetition.locust_log)
        raise LoadtestError(
            f"Locust ended with {returncode} in {repetition.arm}/{repetition.number}: {said} "
            f"({repetition.locust_log} has more)"
        )

    def _write_run(self, target: Target) -> None:
        plan = msgspec.to_builtins(self._plan)
        self.folder.write_run(
            {
                "settings": plan,
                "server": target.public(),
                "environment": {**machine(), "versions": versions()},
                "t0": self._t0_s,
                "command": repeat_command(sys.argv),
                "prices": msgspec.to_builtins(self._prices),
                "budgets": self._budgets,
                "warnings": [*target.warnings, *self._left_out],
                **({"trial": self._trial} if self._trial is not None else {}),
            }
        )


def interleaved(strategies: list[str], repetitions: int) -> Iterator[tuple[int, str]]:
    """The number of the repetition, from 1, and its strategy, for ``repetitions`` of each of ``strategies``.

    A B C, B C A, …: no arm always runs first, and drift of the machine affects all arms.
    """
    for number in range(repetitions):
        shift = number % len(strategies)
        for strategy in strategies[shift:] + strategies[:shift]:
            yield number + 1, strategy


def check_size(plan: Plan) -> None:
    """Raises :class:`UsageError` if a server of the size that ``plan`` asks for is too small for it."""
    if "ideal" in plan.strategies and plan.max_connections <= plan.ideal_reserve:
        raise UsageError(
            f"ideal has no connection left: --ideal-reserve {plan.ideal_reserve} of "
            f"--max-connections {plan.max_connections}"
        )
