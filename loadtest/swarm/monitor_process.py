"""The process of the monitor, for a test that Locust started."""

import os
import subprocess
import sys
import time

from gevent.monkey import get_original

from loadtest.results.csv_rows import last_rows
from loadtest.results.rows import Sample
from loadtest.results.run_folder import Repetition

_sleep = get_original("time", "sleep")
BEGIN_S = 2.0
END_S = 5.0


def start_monitor(repetition: Repetition, t0_monotonic_s: float) -> "subprocess.Popen[bytes]":
    """Starts it as a separate process, so that a busy generator cannot starve it.

    ``t0_monotonic_s`` is ``time.monotonic()`` at the run's t0.
    """
    admin = os.environ.get("LOADTEST_ADMIN_DSN") or os.environ["LOADTEST_DSN"]
    environment = {**os.environ, "LOADTEST_ADMIN_DSN": admin, "LOADTEST_T0_MONOTONIC": repr(t0_monotonic_s)}
    return subprocess.Popen(
        [sys.executable, "-m", "loadtest.server.monitor", str(repetition.samples)],
        env=environment,
        stdin=subprocess.DEVNULL,
    )


def wait_for_sample(repetition: Repetition) -> None:
    """Returns when the monitor has sampled the server once, or after :data:`BEGIN_S`.

    What functions do from then on is between two samples of its counters. The loop stands still: nobody may
    end the test while it begins.
    """
    until_s = time.monotonic() + BEGIN_S
    while time.monotonic() < until_s and not any(last_rows(repetition.samples, Sample._fields)):
        _sleep(0.02)


def end_monitor(monitor: "subprocess.Popen[bytes]") -> None:
    """Ends the process ``monitor``: SIGTERM, then SIGKILL after :data:`END_S`."""
    monitor.terminate()
    try:
        monitor.wait(END_S)
    except subprocess.TimeoutExpired:
        monitor.kill()
