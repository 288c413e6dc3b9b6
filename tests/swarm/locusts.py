"""Runs one repetition in a real Locust, as the bench does, and reads its rows."""

import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec

from loadtest.bench import locust_command, process_group
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import arm_name

QUIET = {
    "duration_s": 2.0,
    "rate": 100.0,
    "cold_start_ms": 50.0,
    "work_ms": 5.0,
    "function_timeout_s": 3.0,
    "reap_probability": 0.0,
}
TRIES_COUNT = 3


class Ran:
    """What a repetition left on disk."""

    def __init__(self, repetition: Repetition) -> None:
        self.repetition = repetition
        self.folder = RunFolder(repetition.path.parents[2])
        self.meta = repetition.read_meta()
        self.log = repetition.locust_log.read_text("utf-8")

    def rows(self, kind):
        table, warnings = read_rows(self.repetition, kind)
        assert not warnings
        return table.to_pylist()

    @property
    def invocations(self):
        return sorted(self.rows("invocations"), key=lambda row: (row["client"], row["arrival"]))

    @property
    def connections(self):
        return self.rows("connections")

    def errors(self):
        return {row["error"] for row in self.invocations}


@contextmanager
def running(target, folder: Path, strategy="direct", processes=1, locustfile=None, **settings):
    """Locust as a process and the repetition that it writes; ended as a group at the end."""
    chosen = Settings(**{**QUIET, **settings})
    run = RunFolder.create(folder)
    described = target.public()
    t0_monotonic_s = time.monotonic()
    run.write_run(
        {
            "settings": {**msgspec.to_builtins(chosen), "strategies": [strategy]},
            "server": described,
            "environment": {},
            "t0": time.time(),
        }
    )
    repetition = run.next_repetition(arm_name(strategy)).create()
    env = locust_command.environment(
        repetition.path,
        {
            "LOADTEST_DSN": target.functions.url(),
            "LOADTEST_ADMIN_DSN": target.admin.url(),
            "LOADTEST_REPETITION": str(repetition.path),
            "LOADTEST_T0_MONOTONIC": repr(t0_monotonic_s),
            "LOADTEST_SERVER": json.dumps(described),
        },
    )
    words = locust_command.command(chosen, strategy, processes)
    if locustfile:
        words[words.index("-f") + 1] = str(locustfile)
    locust = process_group.start(words, repetition.path, repetition.locust_log, env)
    try:
        yield locust, repetition, lambda: time.monotonic() - t0_monotonic_s
    finally:
        process_group.end(locust)


def run(target, folder: Path, strategy="direct", processes=1, locustfile=None, **settings) -> Ran:
    """One repetition from beginning to end, again where the harness itself says that its load was wrong.

    On a busy machine clients may come too late, as they may in a bench, which repeats such a repetition, too.
    """
    for _ in range(TRIES_COUNT):
        shutil.rmtree(folder, ignore_errors=True)
        ran = _run(target, folder, strategy, processes, locustfile, **settings)
        if "wrong_load" not in ran.meta:
            break
    return ran


def _run(target, folder, strategy, processes, locustfile, **settings):
    """The log is shown where it failed."""
    with running(target, folder, strategy, processes, locustfile, **settings) as (locust, repetition, _):
        try:
            code = locust.wait(90 + settings.get("duration_s", 0))
        except subprocess.TimeoutExpired:
            code = "no end"
        assert code == 0, repetition.locust_log.read_text("utf-8")
        assert process_group.wait_for_group(locust.pid, 20.0)
    return Ran(repetition)
