"""Plain `locust -f`: what it refuses, and how it ends when it is interrupted."""

import re
import signal

import pandas
import pytest

from loadtest.packaged import packaged
from tests.places import END_S, SIGNALS, Ran, ended, sentence
from tests.waiting import wait_until


def locust(*more) -> list[str]:
    return [
        "-f", str(packaged("locustfiles") / "clients.py"), "--headless", "-u", "20", "-r", "20", "-t", "20s",
        *more,
    ]  # fmt: skip


@pytest.fixture
def server_env(mariadb_target):
    functions, admin = mariadb_target.functions.url(), mariadb_target.admin.url()
    return {"LOADTEST_DSN": functions, "LOADTEST_ADMIN_DSN": admin}


def own_words(ran: Ran) -> str:
    """Without Locust's log."""
    return sentence("\n".join(line for line in ran.err.splitlines() if not line.startswith("[")))


def test_plain_locust_without_a_server_says_where_to_name_one(place):
    ran = place.run(*locust(), module="locust")
    assert ran.code == 3, ran
    assert own_words(ran).startswith("no server: set LOADTEST_DSN to mysql://")
    assert place.files() == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "nonsense"], "unknown strategy 'nonsense'"),
        (["--strategy", "manged"], "(did you mean managed?)"),
        (["--strategy", "no_such_module:Mine"], "no_such_module cannot be imported"),
        (["--zombie-ratio", "1.2"], "zombie-ratio cannot be 1.2: expected a number <= 1"),
        (["--duration", "soon"], "not a duration: 'soon'"),
        (["-r", "2"], "--spawn-rate 2 cannot be: all 20 users have to be there from the start"),
    ],
)
def test_plain_locust_refuses_what_cannot_be(place, server_env, words, said):
    ran = place.run(*locust(), *words, module="locust", env=server_env)
    assert ran.code == 2, ran
    assert said in own_words(ran)
    assert place.files() == {}


def test_plain_locust_refuses_a_shape_of_its_own(place, server_env):
    shaped = (
        "import locust\nfrom loadtest.swarm.users import Client\n"
        "class Steps(locust.LoadTestShape):\n    tick = None\n"
    )
    (place.folder / "shaped.py").write_text(shaped)
    words = ["-f", "shaped.py", "--headless", "--duration", "1s"]
    ran = place.run(*words, module="locust", env=server_env)
    assert ran.code == 2, ran
    assert own_words(ran).startswith("Steps would let users come and go")


def test_all_users_of_plain_locust_are_there_from_the_start_without_being_asked_for(place, server_env):
    words = ["-f", packaged("locustfiles") / "clients.py", "--headless", "-u", "30", "--duration", "2s"]
    ran = place.run(*words, "--strategy", "direct", "--cold-start-ms", "20", module="locust", env=server_env)
    assert ran.code == 0, ran
    (rows,) = place.folder.glob("results/2*/arms/direct/01/invocations")
    assert pandas.read_parquet(rows)["client"].nunique() > 20


def test_plain_locust_says_a_wrong_password(place, server_env):
    wrong = server_env["LOADTEST_DSN"].replace(":", ":wrong", 2).replace("mysql:wrong", "mysql:")
    ran = place.run(*locust(), module="locust", env={**server_env, "LOADTEST_DSN": wrong})
    assert ran.code == 3, ran
    assert "refuses the password of 'loadtest' (1045)" in own_words(ran)
    assert place.files() == {}


@pytest.mark.parametrize("number", [SIGNALS[0], pytest.param(SIGNALS[1], marks=pytest.mark.nightly)])
def test_plain_locust_that_is_interrupted_ends_with_130_and_its_rows(place, server_env, number):
    with place.start(*locust("--strategy", "direct"), module="locust", env=server_env) as process:
        wait_until(place.arrivals_recorded, 60)
        process.send_signal(number)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    assert place.left() == []
    (folder,) = (path for path in (place.folder / "results").iterdir() if not path.is_symlink())
    assert place.run("report", folder).code == 0


# Functions that keep the processor, so that a signal finds one of them running, not Locust's loop.
SPINNING = """
import time
from loadtest.fleet.strategies import Direct

class Spinning(Direct):
    def invoke(self, work, context):
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            pass
"""


def test_plain_locust_that_is_interrupted_within_a_function_says_no_traceback(place, server_env):
    (place.folder / "spinning.py").write_text(SPINNING)
    words = ["--strategy", "spin=spinning:Spinning", "--rate-per-user", "2", "--reap-probability", "1"]
    words += ["--cold-start-ms", "400"]
    with place.start(*locust(), *words, module="locust", env=server_env) as process:
        wait_until(place.arrivals_recorded, 60)
        process.send_signal(signal.SIGINT)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    (rows,) = place.folder.glob("results/2*/arms/spin/01/invocations")
    took = pandas.read_parquet(rows).eval("finished_s - due_s - cold_start_s")
    assert len(took)
    assert took.min() >= 0, "containers that were still coming up had not come up"
    least_ms = re.search(r"few-rows +spin .*\| +-?\d+ +(-?\d+)", ran.out + ran.err)[1]
    assert int(least_ms) >= 20, "what is unfinished has no response time"


# A strategy whose module makes the last step of writing take long, as a slow disk would.
SLOW_DISK = """
import time
from loadtest.fleet import recorder
from loadtest.fleet.strategies import Direct

merge_parts = recorder.merge_parts

def slowly(*args):
    time.sleep(0.5)
    merge_parts(*args)

recorder.merge_parts = slowly
Slow = Direct
"""


@pytest.mark.parametrize("number", [SIGNALS[1], pytest.param(SIGNALS[0], marks=pytest.mark.nightly)])
def test_plain_locust_that_is_interrupted_waits_for_its_last_rows(place, server_env, number):
    (place.folder / "slow_disk.py").write_text(SLOW_DISK)
    with place.start(
        *locust("--strategy", "slow=slow_disk:Slow"), module="locust", env=server_env
    ) as process:
        wait_until(place.arrivals_recorded, 60)
        process.send_signal(number)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    (rows,) = place.folder.glob("results/2*/arms/slow/01/invocations")
    assert len(list(rows.iterdir())) == 1, "parts are left"
