"""The process of the monitor, for a test that Locust started."""

import os
import subprocess
import sys

from loadtest.results.run_folder import Repetition

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


def end_monitor(monitor: "subprocess.Popen[bytes]") -> None:
    """Ends the process ``monitor``: SIGTERM, then SIGKILL after :data:`END_S`."""
    monitor.terminate()
    try:
        monitor.wait(END_S)
    except subprocess.TimeoutExpired:
        monitor.kill()
