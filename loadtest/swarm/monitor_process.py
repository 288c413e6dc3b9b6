"""The process of the monitor, for a test that Locust started."""

import os
import subprocess
import sys
import time

from gevent.monkey import get_original

from loadtest.results.csv_rows import last_rows
from loadtest.results.rows import Sample
from loadtest.results.run_folder import Repetition
from loadtest.ways import Taken

_sleep = get_original("time", "sleep")
BEGIN_S = 2.0
END_S = 5.0


class MonitorProcess:
    """The monitor as a separate process, so that a busy generator cannot starve it.

    ``t0_monotonic_s`` is ``time.monotonic()`` at the run's t0. The ``proxy`` that functions go through, if
    they do, is asked, too.
    """

    def __init__(self, repetition: Repetition, t0_monotonic_s: float, proxy: Taken | None = None) -> None:
        self._repetition, self._t0_monotonic_s = repetition, t0_monotonic_s
        self._proxied: dict[str, str] = {}
        if proxy is not None:
            alone = {"LOADTEST_PROXY_ALONE": "1"} if proxy.alone else {}
            self._proxied = {"LOADTEST_PROXY_STATUS": proxy.way.status, **alone}
        self._process: subprocess.Popen[bytes] | None = self._started()

    def __repr__(self) -> str:
        return f"<MonitorProcess {self._process.pid if self._process else 'that was killed'}>"

    def heed(self, *, is_down: bool) -> None:
        """What a fault wants: killed without a word if it ``is_down``, started again if it is so no longer.

        The new one goes on in the file of the one before.
        """
        if is_down and self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        elif not is_down and self._process is None:
            self._process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "LOADTEST_ADMIN_DSN": os.environ.get("LOADTEST_ADMIN_DSN") or os.environ["LOADTEST_DSN"],
            "LOADTEST_T0_MONOTONIC": repr(self._t0_monotonic_s),
            **self._proxied,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "loadtest.server.monitor", str(self._repetition.samples)],
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    def end(self) -> None:
        """Ends it: SIGTERM, then SIGKILL after :data:`END_S`."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()


def wait_for_sample(repetition: Repetition) -> None:
    """Returns when the monitor has sampled the server once, or after :data:`BEGIN_S`.

    What functions do from then on is between two samples of its counters. The loop stands still: nobody may
    end the test while it begins.
    """
    until_s = time.monotonic() + BEGIN_S
    while time.monotonic() < until_s and not any(last_rows(repetition.samples, Sample._fields)):
        _sleep(0.02)
