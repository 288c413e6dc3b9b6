"""Commands that are interrupted, and servers, disks and readers that go away."""

import json
import os
import signal
import time

import pandas
import pytest

from loadtest.process import shipped
from tests.places import END_S, LONG, QUICK, SERVERS, Ran, ended, sentence
from tests.waiting import wait_until

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def is_starting(place):
    """The server's files are being made, or it comes up."""
    return any(place.tmp.iterdir())


def is_installing(place):
    return place.processes(*SERVERS)


def is_measuring(place):
    return place.arrivals_recorded()


def is_coming_up(place):
    """Locust is there and has not begun."""
    return place.locusts()


def interrupt(place, process, *numbers) -> Ran:
    """Signals one after the other; everything has to be gone in a bounded time."""
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    ran = ended(process, END_S)
    assert time.monotonic() - began < END_S
    assert ran.code == 130, ran
    assert place.left() == []
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert last == [f"loadtest: interrupted by {numbers[0].name}"]
    return ran


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", [is_starting, is_installing, is_coming_up])
def test_a_run_that_is_interrupted_before_it_measured_leaves_nothing(place, moment, number):
    (place.folder / "results" / "older").mkdir(parents=True)
    (place.folder / "results" / "latest").symlink_to("older")
    before = place.files()
    with place.start("bench", *LONG) as process:
        wait_until(lambda: moment(place), 20)
        ran = interrupt(place, process, number)
    assert ran.out == ""
    assert place.files() == before


def test_a_run_that_is_interrupted_before_anything_arrived_leaves_nothing(place):
    with place.start("bench", *LONG, "--rate", "0.001") as process:
        wait_until(lambda: any(place.folder.glob("results/*/arms/*/*/generator.csv")), 30)
        ran = interrupt(place, process, signal.SIGINT)
    assert ran.out == ""
    assert place.files() == {}


@pytest.mark.parametrize("numbers", [SIGNALS[:1], SIGNALS[1:], SIGNALS[:1] * 2, SIGNALS[1:] * 3])
def test_a_run_that_is_interrupted_keeps_what_it_measured(place, numbers):
    with place.start("bench", *LONG) as process:
        wait_until(lambda: is_measuring(place), 30)
        ran = interrupt(place, process, *numbers)
    assert "direct" in ran.out
    assert "run folder: results/" in ran.out
    readable(place)


def readable(place, name: str = "results/latest") -> dict:
    """Of the run that was cut off a report can be made, as often as one likes."""
    ran = place.run("report", name, "--json")
    assert ran.code == 0, ran
    summary = json.loads(ran.out)
    (repetition, *_) = summary["arms"]["direct"]["repetitions"]
    assert repetition["arrivals_count"] > 0
    assert any("did not end by itself" in warning for warning in summary["warnings"])
    return summary


def test_a_run_that_is_interrupted_near_its_end_is_readable(place):
    with place.start("bench", *QUICK) as process:
        wait_until(lambda: is_measuring(place), 30)
        wait_until(lambda: not place.locusts(), 30)
        process.send_signal(signal.SIGINT)
        ran = ended(process, END_S)
    assert ran.code in (0, 130), ran  # it may have been over by then
    assert place.left() == []
    assert place.run("report", "results/latest").code == 0


def test_a_background_job_that_ignores_sigint_can_be_interrupted_all_the_same(place):
    with place.start("bench", *LONG, ignore_sigint=True) as process:
        wait_until(lambda: is_measuring(place), 30)
        interrupt(place, process, signal.SIGINT)
    readable(place)


def test_an_interrupt_while_a_server_comes_up_to_stay_takes_it_down(place):
    with place.start("server", "up", "--server", "local") as process:
        wait_until(lambda: is_installing(place), 20)
        interrupt(place, process, signal.SIGTERM)


# The server goes away


def test_a_server_that_is_lost_in_mid_run_ends_it_with_what_was_measured(place):
    with place.start("bench", *LONG) as process:
        wait_until(lambda: is_measuring(place), 30)
        (server,) = place.processes(*SERVERS)
        server.kill()
        ran = ended(process, 30)
    assert ran.code == 3, ran
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert len(last) == 1
    assert "the server was lost in direct/01" in last[0]
    assert "its process ended" in last[0]
    assert "run folder: results/" in ran.out
    assert place.left() == []
    readable(place)


def test_a_server_that_is_lost_near_the_end_is_found_lost_too(place):
    with place.start("bench", *QUICK, "--duration", "2s", "--rate", "20") as process:
        wait_until(lambda: is_measuring(place), 30)
        (server,) = place.processes(*SERVERS)
        server.kill()
        ran = ended(process, 30)
    assert ran.code == 3, ran
    assert "the server was lost in direct/01" in ran.err
    readable(place)


# Strangers' files and variables


def test_what_belongs_to_another_locust_does_not_disturb(place):
    home = place.folder / "home"
    home.mkdir()
    (home / ".locust.conf").write_text("no-such-option = 1\n")
    (place.folder / "locust.conf").write_text("no-such-option = 1\n")
    (place.folder / "grp.py").write_text("raise RuntimeError('not the one that you want')\n")
    env = {
        "HOME": str(home), "LOCUST_USERS": "many", "LOCUST_HEADLESS": "perhaps", "LOCUST_RUN_TIME": "1ms",
        "PYTHONSAFEPATH": "1",  # as the console script has it: our own parent does not look here either
    }  # fmt: skip
    ran = place.run("bench", *QUICK, env=env)
    assert ran.code == 0, ran
    assert "run folder: results/" in ran.out


def test_whoever_has_seen_enough_of_the_output_gets_no_traceback(place):
    for words in (
        ["--help"],
        ["--version"],
        ["scenarios"],
        ["bench", *QUICK, "--out", "mine"],
        ["report", "mine"],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            assert place.run(*words, stdout=writing).code == 0, words
        finally:
            os.close(writing)
    assert (place.folder / "mine" / "summary.json").exists()


# Plain Locust


def locust(*more) -> list[str]:
    return [
        "-f", str(shipped("locustfiles") / "clients.py"), "--headless", "-u", "20", "-r", "20", "-t", "20s",
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
    ],
)
def test_plain_locust_refuses_what_cannot_be(place, server_env, words, said):
    ran = place.run(*locust(), *words, module="locust", env=server_env)
    assert ran.code == 2, ran
    assert said in own_words(ran)
    assert place.files() == {}


def test_plain_locust_says_a_wrong_password(place, server_env):
    wrong = server_env["LOADTEST_DSN"].replace(":", ":wrong", 2).replace("mysql:wrong", "mysql:")
    ran = place.run(*locust(), module="locust", env={**server_env, "LOADTEST_DSN": wrong})
    assert ran.code == 3, ran
    assert "refuses the password of 'loadtest' (1045)" in own_words(ran)
    assert place.files() == {}


@pytest.mark.parametrize("number", SIGNALS)
def test_plain_locust_that_is_interrupted_ends_with_130_and_its_rows(place, server_env, number):
    with place.start(*locust("--strategy", "direct"), module="locust", env=server_env) as process:
        wait_until(lambda: is_measuring(place), 30)
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
        wait_until(lambda: is_measuring(place), 30)
        process.send_signal(signal.SIGINT)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    (rows,) = place.folder.glob("results/2*/arms/spin/01/invocations")
    took = pandas.read_parquet(rows).eval("finished_s - due_s - cold_start_s")
    assert len(took)
    assert took.min() >= 0, "containers that were still coming up had not come up"


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


@pytest.mark.parametrize("number", SIGNALS)
def test_plain_locust_that_is_interrupted_waits_for_its_last_rows(place, server_env, number):
    (place.folder / "slow_disk.py").write_text(SLOW_DISK)
    with place.start(
        *locust("--strategy", "slow=slow_disk:Slow"), module="locust", env=server_env
    ) as process:
        wait_until(lambda: is_measuring(place), 30)
        process.send_signal(number)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    (rows,) = place.folder.glob("results/2*/arms/slow/01/invocations")
    assert len(list(rows.iterdir())) == 1, "parts are left"
