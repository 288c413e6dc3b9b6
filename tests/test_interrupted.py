"""Commands that are interrupted, and servers, disks and readers that go away."""

import json
import os
import signal
import time

import pytest

from tests.places import END_S, LONG, QUICK, SERVERS, SIGNALS, Ran, ended
from tests.waiting import wait_until


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


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (is_starting, signal.SIGINT),
        (is_installing, signal.SIGTERM),
        (is_coming_up, signal.SIGINT),
        *(
            pytest.param(moment, number, marks=pytest.mark.nightly)
            for moment, number in (
                (is_starting, signal.SIGTERM),
                (is_installing, signal.SIGINT),
                (is_coming_up, signal.SIGTERM),
            )
        ),
    ],
)
def test_a_run_that_is_interrupted_before_it_measured_leaves_nothing(place, moment, number):
    (place.folder / "results" / "older").mkdir(parents=True)
    (place.folder / "results" / "latest").symlink_to("older")
    before = place.files()
    # Without arrivals, so that nothing is measured however late the signal comes.
    with place.start("bench", *LONG, "--rate", "0.001") as process:
        wait_until(lambda: moment(place), 60)
        ran = interrupt(place, process, number)
    assert ran.out == ""
    assert place.files() == before


@pytest.mark.nightly
def test_a_run_that_is_interrupted_before_anything_arrived_leaves_nothing(place):
    with place.start("bench", *LONG, "--rate", "0.001") as process:
        wait_until(lambda: any(place.folder.glob("results/*/arms/*/*/generator.csv")), 60)
        ran = interrupt(place, process, signal.SIGINT)
    assert ran.out == ""
    assert place.files() == {}


@pytest.mark.parametrize(
    "numbers",
    [
        SIGNALS[1:] * 3,
        # one SIGINT: as a background job, below
        *(
            pytest.param(numbers, marks=pytest.mark.nightly)
            for numbers in (SIGNALS[:1], SIGNALS[1:], SIGNALS[:1] * 2)
        ),
    ],
)
def test_a_run_that_is_interrupted_keeps_what_it_measured(place, numbers):
    with place.start("bench", *LONG) as process:
        wait_until(lambda: is_measuring(place), 90)
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


@pytest.mark.nightly
def test_a_run_that_is_interrupted_near_its_end_is_readable(place):
    with place.start("bench", *QUICK) as process:
        wait_until(lambda: is_measuring(place), 90)
        wait_until(lambda: not place.locusts(), 60)
        process.send_signal(signal.SIGINT)
        ran = ended(process, END_S)
    assert ran.code in (0, 130), ran  # it may have been over by then
    assert place.left() == []
    assert place.run("report", "results/latest").code == 0


@pytest.mark.nightly
def test_a_background_job_that_ignores_sigint_can_be_interrupted_all_the_same(place):
    with place.start("bench", *LONG, ignore_sigint=True) as process:
        wait_until(lambda: is_measuring(place), 90)
        interrupt(place, process, signal.SIGINT)
    readable(place)


def test_an_interrupt_while_a_server_comes_up_to_stay_takes_it_down(place):
    with place.start("server", "up", "--server", "local") as process:
        wait_until(lambda: is_installing(place), 60)
        interrupt(place, process, signal.SIGTERM)


# The server goes away


@pytest.mark.nightly
def test_a_server_that_is_lost_in_mid_run_ends_it_with_what_was_measured(place):
    with place.start("bench", *LONG) as process:
        wait_until(lambda: is_measuring(place), 90)
        (server,) = place.processes(*SERVERS)
        server.kill()
        ran = ended(process, END_S)
    assert ran.code == 3, ran
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert len(last) == 1
    assert "the server was lost in direct/01" in last[0]
    assert "its process ended" in last[0]
    assert "run folder: results/" in ran.out
    assert place.left() == []
    readable(place)


@pytest.mark.nightly
def test_a_server_that_is_lost_near_the_end_is_found_lost_too(place):
    with place.start("bench", *QUICK, "--duration", "2s", "--rate", "20") as process:
        wait_until(lambda: is_measuring(place), 90)
        (server,) = place.processes(*SERVERS)
        server.kill()
        ran = ended(process, END_S)
    assert ran.code == 3, ran
    assert "the server was lost in direct/01" in ran.err
    readable(place)


# Strangers' files and variables


@pytest.mark.nightly
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


@pytest.mark.nightly
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
