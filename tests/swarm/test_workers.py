"""Workers that are lost, come late, or do not get all of their clients: never a hang, never valid."""

import json
from contextlib import ExitStack

import pytest

from loadtest.bench import process_group
from loadtest.results.rows import GeneratorSecond
from loadtest.results.run_folder import RunFolder
from tests.places import ended
from tests.swarm.locusts import Ran, running
from tests.swarm.test_plain_locust import locust, report, the_run
from tests.waiting import wait_until


def second(repetition):
    """Of the load; 0 before its start."""
    rows = [
        row for row in repetition.csv_rows(repetition.generator) if len(row) == len(GeneratorSecond._fields)
    ]
    start_s = repetition.read_meta().get("start_s")
    return max((float(row["at_s"]) for row in rows), default=0.0) - start_s if rows and start_s else 0.0


def begun(folder):
    (repetition,) = wait_until(
        lambda: [RunFolder(r.parents[3]).repetitions("direct")[0] for r in folder.glob(
            "results/*-*/arms/direct/01/generator.csv")],
        40,
    )  # fmt: skip
    return repetition


@pytest.mark.nightly
def test_a_lost_worker_and_a_late_one_are_named_and_nothing_of_the_repetition_counts(
    mariadb_target, tmp_path
):
    port = str(process_group.free_port())
    # So long that on a busy machine the third worker comes up before the end.
    load = ("-u", "40", "--strategy", "direct", "--duration", "12s", "--cold-start-ms", "20")
    # Locust's exit code tells of arrivals that failed, as one may that was under way when its worker went.
    how = ("--headless", "--exit-code-on-error", "0")
    master = ("--master", *how, "--expect-workers", "2", "--master-bind-port", port, *load)
    worker = ("--worker", "--master-port", port)
    with ExitStack() as stack:
        leads, log = stack.enter_context(locust(mariadb_target, tmp_path, *master))
        first, _ = stack.enter_context(locust(mariadb_target, tmp_path, *worker))
        stack.enter_context(locust(mariadb_target, tmp_path, *worker))
        repetition = begun(tmp_path)
        stack.enter_context(locust(mariadb_target, tmp_path, *worker))
        wait_until(lambda: second(repetition) > 0.5, 20)
        first.kill()
        assert leads.wait(90) == 0, log.read_text()
    _, repetition = the_run(tmp_path)
    (figures,) = report(tmp_path)["arms"]["direct"]["repetitions"]
    assert figures["valid"] is False
    late, lost, missing = figures["reasons"][:3]
    assert late.startswith("another worker (on ")
    assert "joined after the start" in late
    assert lost.startswith("worker ")
    assert "was lost before the end" in lost
    assert "of 40 clients were not there from the start to the end" in missing
    counts = ("arrivals_count", "good_ratio", "error_ratio", "throughput_per_s", "throttled_count")
    assert {figures[name] for name in counts} == {None}
    assert lost in log.read_text()


@pytest.mark.nightly
def test_a_bench_whose_worker_is_lost_in_the_last_second_ends_and_says_so(place):
    words = (
        "bench", "--server", "local", "--strategies", "direct", "--duration", "3s", "--repetitions", "1",
        "--rate", "40", "--cold-start-ms", "20", "--function-timeout", "1s", "--reruns", "0", "--json",
        "--processes", "2", "--budget", "direct.error_ratio == 0",
    )  # fmt: skip
    with place.start(*words) as started:
        repetition = begun(place.folder)
        everybody = place.locusts()
        workers = [p for p in everybody if p.ppid() in {other.pid for other in everybody}]
        assert len(workers) == 2
        wait_until(lambda: second(repetition) > 0.9, 20)
        workers[1].suspend()  # it cannot end before it is killed, however late that is
        wait_until(lambda: second(repetition) > 1.9, 20)  # by the other's rows
        workers[1].kill()
        ran = ended(started, 90)
    assert ran.code == 4, ran.err
    summary = json.loads(ran.out)
    (figures,) = summary["arms"]["direct"]["repetitions"]
    assert not figures["valid"]
    assert any("was lost before the end" in reason for reason in figures["reasons"])
    assert figures["arrivals_count"] is None
    assert any(text.startswith("direct/01 is not valid: worker ") for text in summary["warnings"])
    assert "nothing was counted in direct" in ran.err


def test_clients_that_come_too_late_make_another_load(mariadb_target, tmp_path):
    """Whatever the reason: here Locust itself spawns them slowly."""
    locustfile = tmp_path / "slow.py"
    locustfile.write_text(
        "import gevent\n"
        "from loadtest.swarm.users import Client\n"
        "class Slow(Client):\n"
        "    def on_start(self):\n"
        "        gevent.sleep(1.5)\n"
        "        super().on_start()\n"
        "del Client\n"
    )
    with running(mariadb_target, tmp_path / "r", locustfile=locustfile, rate=20.0) as (
        started,
        repetition,
        _,
    ):
        assert started.wait(90) == 0, repetition.locust_log.read_text()
    (reason,) = Ran(repetition).meta["wrong_load"]
    assert reason.endswith("clients were not there from the start to the end, so arrivals are missing")
    assert "of 20 clients" in reason


@pytest.mark.nightly
def test_a_test_that_locusts_own_clock_ends_has_the_window_that_it_had(mariadb_target, tmp_path):
    port = str(process_group.free_port())  # Locust's own is whoever's comes first
    words = (
        "--headless", "--processes", "2", "-u", "40", "-t", "8s", "--strategy", "direct",
        "--master-bind-port", port, "--master-port", port,
    )  # fmt: skip
    with locust(mariadb_target, tmp_path, *words) as (started, log):
        assert started.wait(90) == 0, log.read_text()
    _, repetition = the_run(tmp_path)
    meta = repetition.read_meta()
    # Locust counts from before its workers are ready, three seconds before the start.
    assert meta["deadline_s"] - meta["start_s"] < 7.5
    assert "wrong_load" not in meta
