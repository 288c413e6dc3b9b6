"""The workers of a bench, which people start elsewhere: waited for, but not for ever."""

import logging
import os
import signal
import time
from typing import Any

import gevent

from loadtest.errors import Interrupted, WorkersMissing

log = logging.getLogger("loadtest")
LOOK_S = 0.2
WAITING = "ready"  # Locust's state of a master that has not started a test yet


def expected_count(environment: Any) -> int:
    """How many workers a bench waits for; 0 if it starts its own, or this is no bench."""
    return int(environment.parsed_options.expect_workers) if "LOADTEST_WORKERS_WAIT" in os.environ else 0


def give_up_in_time(environment: Any) -> None:
    """Ends the master of a bench whose workers do not come; Locust itself would not say how many did.

    Nor does Locust, while it waits, tell those that came when it is ended by a signal.
    """
    if expected_count(environment):
        gevent.spawn(_wait, environment, float(os.environ["LOADTEST_WORKERS_WAIT"]))
        gevent.signal_handler(signal.SIGTERM, _interrupted, environment.runner)


def _interrupted(runner: Any) -> None:
    if runner.state == WAITING:
        _end(runner, Interrupted.exit_code)


def check_count(environment: Any) -> None:
    """Raises :class:`WorkersMissing` if more workers came than a bench waits for: they would share its load,
    or come too late for it, as it happens."""
    wanted_count, came_count = expected_count(environment), environment.runner.worker_count
    if wanted_count and came_count > wanted_count:
        raise WorkersMissing(
            f"{came_count} workers came, and --workers is {wanted_count}: end those that are too many, or "
            f"give --workers {came_count}"
        )


def _wait(environment: Any, patience_s: float) -> None:
    runner, until = environment.runner, time.monotonic() + patience_s
    while runner.state == WAITING:
        if time.monotonic() > until:
            _give_up(runner, expected_count(environment), patience_s)
        gevent.sleep(LOOK_S)


def _give_up(runner: Any, wanted_count: int, patience_s: float) -> None:
    came = len(runner.clients.ready)
    command = os.environ.get("LOADTEST_WORKER_COMMAND", "loadtest worker")
    log.error(
        f"{came} of {wanted_count} workers came within {patience_s:g} s: start each with `{command}`, where "
        "LOADTEST_DSN names the server"
    )
    _end(runner, WorkersMissing.exit_code)


def _end(runner: Any, exit_code: int) -> None:
    runner.quit()  # those that came are told
    gevent.get_hub().parent.throw(SystemExit(exit_code))
