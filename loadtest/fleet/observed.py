"""The run folder and the monitor of a test that Locust started."""

import logging
import os
import subprocess
import sys
import time
from typing import Any

import msgspec

from loadtest.fleet.strategies import arm_name
from loadtest.fleet.surroundings import results_path
from loadtest.provenance import machine
from loadtest.settings import Settings
from loadtest.store import Repetition, RunFolder

log = logging.getLogger("loadtest")
END_S = 5.0


def make_folder(
    settings: Settings, strategy: str, described: dict[str, Any], t0_monotonic: float
) -> tuple[RunFolder | None, Repetition]:
    """The bench has made the repetition already, and knows its folder itself."""
    given = os.environ.get("LOADTEST_REPETITION")
    if given:
        return None, Repetition.at(given)
    path = results_path(arm_name(strategy))
    folder = RunFolder.create(path)
    folder.write_run(
        {
            "settings": {**msgspec.to_builtins(settings), "scenario": "by hand", "strategies": [strategy]},
            "server": described,
            "environment": machine(),
            "t0": time.time() - (time.monotonic() - t0_monotonic),
            "warnings": described.get("warnings", []),
        }
    )
    log.info("rows go to %s", path)
    return folder, folder.next_repetition(arm_name(strategy)).create()


def start_monitor(repetition: Repetition, t0_monotonic: float) -> "subprocess.Popen[bytes]":
    """A process of its own, so that a busy generator cannot starve it."""
    admin = os.environ.get("LOADTEST_ADMIN_DSN") or os.environ["LOADTEST_DSN"]
    environment = {**os.environ, "LOADTEST_ADMIN_DSN": admin, "LOADTEST_T0_MONOTONIC": repr(t0_monotonic)}
    return subprocess.Popen(
        [sys.executable, "-m", "loadtest.server.monitor", str(repetition.samples)],
        env=environment,
        stdin=subprocess.DEVNULL,
    )


def end_monitor(monitor: "subprocess.Popen[bytes]") -> None:
    monitor.terminate()
    try:
        monitor.wait(END_S)
    except subprocess.TimeoutExpired:
        monitor.kill()
