"""What is left of containers that are lost, killed or taken away while they come up: nothing."""

import sys
import time

import gevent
import psutil
import pytest

from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter
from loadtest.fleet.container import Container
from loadtest.fleet.context import Context
from loadtest.fleet.real.events import Events
from loadtest.fleet.real.launch_command import launch_of
from loadtest.fleet.real.processes import Processes
from loadtest.fleet.workload import Work
from loadtest.results.rows import TIMEOUT
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import parse
from loadtest.ways import Way
from tests.fleet.real.test_environment import EXTENDED
from tests.fleet.real.test_processes import LEAVES, named
from tests.waiting import wait_until

CONTAINERS_COUNT = 5
FAILS = "raise RuntimeError\ndef handler(event, context): ...\n"


@pytest.fixture
def fleet_of(mariadb_target, tmp_path):
    """Makes the runtime of one function from its text."""
    made = []

    def processes(text, name="lost"):
        path = tmp_path / ("bootstrap" if text.startswith("#!") else "app.py")
        path.write_text(text)
        path.chmod(0o755)
        spec = f"provided:{path}" if text.startswith("#!") else f"python:{tmp_path}/app.handler"
        (part,) = parse(f"{name}=lambda:{spec}")
        clock = Clock(time.monotonic())
        book = Book(clock, 0, [].append, [].append)
        events = Events("plain", "")
        launches = {name: launch_of(part, "")}
        ways = {name: Way(mariadb_target.functions, "off")}
        made.append(Processes(launches, events, ways, book, Settings(), tmp_path / "logs"))
        return made[-1]

    yield processes
    for one in made:
        one.close()


def container(number, name="lost"):
    return Container(number, name, Meter(number))


def invoke(processes, one):
    """One invocation to its end, within 10 s."""
    clock = Clock(time.monotonic())
    one.invocations_count += 1
    error = processes.invoke(one, Work("few-rows", 0.0, 0, 0, one.meter), Context(clock, 10.0, "0/0"))
    processes.finish(one)
    return error


def settled():
    """Descriptors of this process, once all that was closed is closed."""
    for _ in range(20):
        gevent.sleep(0.01)
    return psutil.Process().num_fds()


@pytest.mark.parametrize("text", [
    LEAVES,  # it ends after its answer
    EXTENDED + "_, _, told = register([])\n"
    "threading.Thread(target=ask, args=['event/next'], kwargs={'Identifier': "
    "told['Lambda-Extension-Identifier']}, daemon=True).start()\n"
    "def handler(event, context): ...\n",
    FAILS,
], ids=["one that ends after its answer", "one with an extension", "one that does not come up"])  # fmt: skip
def test_no_descriptor_stays_open(fleet_of, text):
    processes = fleet_of(text)
    counts = []
    for number in range(CONTAINERS_COUNT):
        one = container(number)
        with gevent.Timeout(60):
            processes.start(one)
            invoke(processes, one)
        processes.discard(one)
        del one
        counts.append(settled())
    # Their processes end when they may, on a busy machine.
    wait_until(lambda: settled() <= counts[0], what=f"as few descriptors as after the first, of {counts}")
    assert processes._instances == set()
    wait_until(lambda: not named("lost"), what="their end")


def test_one_that_is_given_up_while_its_process_comes_to_be_is_killed(fleet_of):
    processes = fleet_of("def handler(event, context): ...\n", "given_up")
    for wait_s in (0.0, 0.001, 0.005, 0.02, 0.1):
        starting = gevent.spawn(processes.start, container(int(1000 * wait_s), "given_up"))
        gevent.sleep(wait_s)
        starting.kill()
    processes.close()
    settled()
    wait_until(lambda: gevent.sleep(0.01) or not named("given_up"), what="their end")


def test_one_whose_time_is_over_before_it_is_started_again_is_killed(fleet_of):
    processes = fleet_of(FAILS)
    one = container(1)
    with gevent.Timeout(60):
        processes.start(one)
        cutting = gevent.spawn(processes.cut, one, None, None)  # runs as soon as this greenlet waits
        assert invoke(processes, one) == TIMEOUT
    cutting.join()
    wait_until(lambda: gevent.sleep(0.01) or not named("lost"), what="its end")


def test_a_runtime_that_asks_twice_gets_the_invocation_on_the_newer_connection(fleet_of):
    processes = fleet_of(
        f"#!{sys.executable}"
        """
import os
from http.client import HTTPConnection

API = "/2018-06-01/runtime/invocation"
old, new = (HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"]) for _ in range(2))
for one in (old, new):
    one.request("GET", API + "/next")
answer = new.getresponse()
answer.read()
new.request("POST", f"{API}/{answer.headers['Lambda-Runtime-Aws-Request-Id']}/response", b"1")
new.getresponse().read()
"""
    )
    one = container(1)
    with gevent.Timeout(20):
        processes.start(one)
        gevent.sleep(0.3)  # both have asked
        assert invoke(processes, one) == ""
