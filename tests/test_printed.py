"""What the objects at the centre print of themselves, with numbers: it stands in every failure."""

import os
import subprocess
import sys
import time

import pytest

from loadtest.bench.bench import Bench
from loadtest.bench.interrupts import Interrupts
from loadtest.dsn import Dsn
from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.generator import Assignment, Generator
from loadtest.fleet.runtime import in_process
from loadtest.results.run_folder import Repetition
from loadtest.settings.plan import Settings
from loadtest.settings.scenario import plan_with
from loadtest.settings.strategy import parse

NOWHERE = Dsn("127.0.0.1", 1, "nobody", "", "nothing")


@pytest.fixture
def fleet():
    clock, parts = Clock(time.monotonic()), parse("direct")
    runtime = in_process(Settings(), parts, NOWHERE, Book(clock, 0, lambda _: None, lambda _: None))
    return Fleet(Settings(cold_start_ms=0.0), parts, runtime, clock, lambda _: None)


def test_a_fleet_prints_its_containers(fleet):
    assert repr(fleet) == "<Fleet 0 containers, 0 busy>"
    fleet.invoke(fleet.new_container("direct"), 0, 0, 0.0)
    assert repr(fleet) == "<Fleet 1 containers, 0 busy>"


def test_a_generator_prints_its_load(tmp_path):
    repetition = Repetition(tmp_path / "arms" / "direct" / "01").create()
    assignment = Assignment("direct", time.monotonic(), str(repetition.path), 1, 1, 90)
    made = Generator(Settings(), assignment, NOWHERE, None, lambda _: None)
    assert repr(made) == "<Generator 0: 0 clients, 0 arrivals, 0 errors, 0 in flight>"


def test_a_bench_prints_its_plan(tmp_path):
    made = Bench(plan_with("quick", {}), tmp_path / "run", Interrupts(), lambda _: None)
    assert repr(made) == f"<Bench of 5 arms, 2 repetitions each, in {tmp_path / 'run'}>"


def test_the_tests_of_a_locust_process_print_where_they_are():
    """In a process of its own, since Locust patches the one that imports it."""
    script = """
from locust.env import Environment
from loadtest.swarm.run import Run
environment = Environment()
environment.create_local_runner()
print(repr(Run(environment)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "LOADTEST_DSN": NOWHERE.url()},
    )  # fmt: skip
    assert ran.stdout.strip() == "<Run IDLE, 0 workers at work>"
