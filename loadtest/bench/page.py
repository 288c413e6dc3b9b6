"""``loadtest web``: a server, and Locust's web page in a separate process."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from loadtest import remote
from loadtest.bench import locust_command, process_group
from loadtest.bench.addresses import answers, check_port, in_address, reachable
from loadtest.bench.interrupts import Interrupts
from loadtest.bench.process_group import Say
from loadtest.bench.strategy_check import checked
from loadtest.errors import Interrupted, LoadtestError, ServerLost
from loadtest.server.choice import ServerChoice
from loadtest.server.launch import check, launched
from loadtest.server.proxies import launched_proxies
from loadtest.server.target import Target
from loadtest.settings.plan import Plan
from loadtest.settings.profiles import profile_of
from loadtest.settings.via import vias_in
from loadtest.ways import told

COME_UP_S = 60.0


class Web:
    """One page, which listens on ``at``, host and port. Its address is printed once it answers."""

    def __init__(
        self,
        plan: Plan,
        choice: ServerChoice,
        results: Path,
        at: tuple[str, int],
        interrupts: Interrupts,
        say: Say,
    ) -> None:
        self._plan = plan
        self._choice = choice
        self._results = results
        self._host, self._port = at[0].removeprefix("[").removesuffix("]"), at[1]
        self._interrupts = interrupts
        self._say = say

    def run(self) -> None:
        """Runs until the page ends. Raises :class:`Interrupted` for Ctrl-C, the usual way to end it."""
        checked(self._plan.strategies, self._plan, lambda text: self._say(f"loadtest: {text}", err=True))
        check(self._choice, self._plan.max_connections)
        check_port(self._host, self._port, "--port or --host")
        plan = self._plan
        with (
            launched(self._choice, plan.max_connections, profile=profile_of(plan.profile)) as target,
            launched_proxies(vias_in(plan.via, plan.strategies), target, plan.tls) as proxies,
        ):
            for warning in target.warnings:
                self._say(f"loadtest: warning: {warning}", err=True)
            self._serve(target, told(proxies))

    def _serve(self, target: Target, proxied: Mapping[str, str]) -> None:
        plan = self._plan
        words = locust_command.page_command(plan, plan.strategies[0], plan.processes, self._host, self._port)
        with tempfile.TemporaryDirectory(prefix="loadtest-web-") as home:
            env = locust_command.environment(
                Path(home),
                {
                    "LOADTEST_DSN": target.functions.url(),
                    "LOADTEST_ADMIN_DSN": target.admin.url(),
                    "LOADTEST_RESULTS": str(self._results.absolute()),
                    **remote.PASSED_ON,
                    **proxied,
                },
            )
            locust, log = None, Path(home) / "locust.log"
            try:
                with self._interrupts.deferred():
                    locust = process_group.start(words, Path(home), log, env)
                self._watch(locust, log)
            finally:
                if locust is not None:
                    with self._interrupts.deferred():
                        process_group.end(locust, hurry=lambda: self._interrupts.hurry)

    def _watch(self, locust: "subprocess.Popen[bytes]", log: Path) -> None:
        told, until = 0, time.monotonic() + COME_UP_S
        while not answers(self._host, self._port):
            self._check_end(locust, log)
            if time.monotonic() > until:
                raise LoadtestError(f"Locust's page did not come up: {process_group.last_line(log)}")
            time.sleep(0.1)
        self._say(
            f"http://{in_address(reachable(self._host))}:{self._port}/?tab=connections  (Ctrl-C ends it; "
            f"run folders go to {self._results})"
        )
        while True:
            told = process_group.pass_on(log, told, self._say)
            self._check_end(locust, log)
            time.sleep(0.2)

    def _check_end(self, locust: "subprocess.Popen[bytes]", log: Path) -> None:
        self._interrupts.check()
        if locust.poll() is not None:
            if locust.returncode in (130, -signal.SIGTERM):
                raise Interrupted("the page was ended")
            said = process_group.complaint(log) or process_group.last_line(log)
            raise ServerLost(f"Locust ended with {locust.returncode}: {said}")
