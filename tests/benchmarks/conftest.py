"""Benchmarks print ratios that were measured side by side in one run; no absolute time is asserted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def say(capsys):
    """Prints a line also when pytest captures."""

    def line(text):
        with capsys.disabled():
            print(f"\n{text}", end="")

    return line


@pytest.fixture
def alone():
    """Runs a script of this folder in a process of its own and returns what it printed."""

    def run(script, *arguments, **environment):
        here = Path(__file__).parent
        done = subprocess.run(
            [sys.executable, str(here / script), *map(str, arguments)],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(here.parent.parent), **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
