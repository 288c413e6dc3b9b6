"""What happens at each of Locust's events."""

import os
import signal
import sys
from typing import Any, NoReturn

import gevent
from locust import events
from locust.runners import WorkerRunner

from loadtest.errors import LoadtestError
from loadtest.results.rows import Invocation
from loadtest.swarm import attendance, statistics
from loadtest.swarm.options import settings_of, spawn_at_once, users_of
from loadtest.swarm.process_setup import check_strategy, check_ways
from loadtest.swarm.remote_load import check_allowed
from loadtest.swarm.run import Run

_runs: dict[int, Run] = {}


def run_of(environment: Any) -> Run:
    """The tests of this process, once Locust has been initialised."""
    return _runs[id(environment)]


def known_run_of(environment: Any) -> Run | None:
    """The same; None before Locust has been initialised."""
    return _runs.get(id(environment))


@events.init.add_listener  # type: ignore[untyped-decorator]
def install(environment: Any, **_: Any) -> None:
    """Checks everything that can be wrong before a test starts, and ends the process where something is."""

    def on_row(row: Invocation, _generator: Any) -> None:
        statistics.tell(environment, row)

    try:
        run = _runs[id(environment)] = Run(environment)
        # In a bench nobody looks at Locust's own statistics, which cost a tenth of a process at saturation.
        if "LOADTEST_REPETITION" not in os.environ:
            statistics.keep_three_digits()
            run.listeners.append(on_row)
        if not isinstance(environment.runner, WorkerRunner):
            settings = settings_of(environment)
            spawn_at_once(environment)
            check_allowed(settings)
            check_strategy(environment.parsed_options.strategy, settings)
            check_ways(environment.parsed_options.strategy)
            if environment.web_ui is None:
                run.prepare(environment.parsed_options.tls)
                attendance.give_up_in_time(environment)
    except LoadtestError as error:
        _end(error)
    _listen(environment, run)
    # Python raises KeyboardInterrupt in whatever runs at the time, here often a function that is being
    # measured; Locust waits for it in its main greenlet.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        gevent.signal_handler(signal.SIGINT, gevent.get_hub().parent.throw, KeyboardInterrupt)


def _listen(environment: Any, run: Run) -> None:
    @environment.events.test_start.add_listener  # type: ignore[untyped-decorator]
    def begin(**_: Any) -> None:
        if run.is_worker:
            return
        try:
            attendance.check_count(environment)
            run.begin(settings_of(environment), environment.parsed_options.strategy, users_of(environment))
        except LoadtestError as error:
            run.end(error.exit_code, str(error))

    @environment.events.test_stopping.add_listener  # type: ignore[untyped-decorator]
    def stopping(**_: Any) -> None:
        run.stopping()

    @environment.events.test_stop.add_listener  # type: ignore[untyped-decorator]
    def stopped(**_: Any) -> None:
        if not run.is_worker:
            run.finish()

    @environment.events.quitting.add_listener  # type: ignore[untyped-decorator]
    def quitting(**_: Any) -> None:
        # On a signal this comes before the test is stopped, otherwise after it.
        if environment.runner.state in ("running", "spawning"):
            run.interrupted = True
            environment.process_exit_code = 130


def _end(error: LoadtestError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)
