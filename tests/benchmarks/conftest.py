"""Benchmarks print ratios that were measured side by side in one run; no absolute time is asserted.

`make benchmarks` runs them whole. `make test` runs each in a short form (`--short`) that shows that it still
measures: with less of everything, and limits so wide that only a defect misses them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    for item in [] if config.getoption("--short") else items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def pick(pytestconfig):
    """``pick(whole, short)``: whichever the form asks for."""
    short = pytestconfig.getoption("--short")
    return lambda whole, in_short: in_short if short else whole


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
        done = subprocess.run(
            [sys.executable, str(HERE / script), *map(str, arguments)],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(HERE.parent.parent), **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
