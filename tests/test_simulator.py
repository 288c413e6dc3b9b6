"""The simulator: its machine, what it must get right, and each of its commands."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.errors import UsageError
from loadtest.settings.scenario import plan_with
from tests.places import QUICK, ROOT
from tests.simulator.machine import Cores, OwnCore, Simulation
from tests.simulator.repetition import World, simulate
from tests.simulator.server import Costs, Server

FREE = Costs().scaled(0.0)


def plan(rate=500, **values):
    return plan_with("burst", {"rate": rate, "work_ms": 5.0, "duration": "6s", "processes": 2, **values})


# The machine


def ends(jobs, cores_count, resource):
    """When each job has ended: ``(place, seconds)``, all of them there from the start."""
    sim, ended = Simulation(), []
    cores = Cores(sim, cores_count)
    places = resource(sim, cores)

    def job(place, seconds):
        yield places[place], seconds
        ended.append((place, round(sim.now_s, 6)))

    for place, seconds in jobs:
        sim.resume(job(place, seconds))
    sim.run(100.0)
    return ended


def test_a_loop_does_one_thing_at_a_time_however_many_cores_are_free():
    assert ends([(0, 1.0), (0, 1.0)], 4, lambda _, cores: [cores.loop()]) == [(0, 1.0), (0, 2.0)]


def test_two_loops_share_one_core_in_turn():
    both = [(0, 1.0), (0, 1.0), (1, 1.0), (1, 1.0)]
    ended = ends(both, 1, lambda _, cores: [cores.loop(), cores.loop()])
    assert [place for place, _ in ended] == [0, 1, 0, 1]
    assert ended[-1] == (1, 4.0)


def test_the_server_has_a_thread_for_each_job_and_goes_first():
    jobs = [(0, 1.0), (0, 1.0), (1, 1.0), (1, 1.0), (1, 1.0)]
    ended = ends(jobs, 2, lambda _, cores: [cores.loop(), cores.threads()])
    assert sorted(ended) == [(0, 1.0), (0, 3.0), (1, 1.0), (1, 2.0), (1, 2.0)]


def test_who_has_a_core_of_its_own_waits_for_nobody():
    assert ends([(0, 1.0), (0, 1.0)], 1, lambda sim, _: [OwnCore(sim)]) == [(0, 1.0), (0, 1.0)]


# The server


def alone(limit):
    sim = Simulation()
    return sim, Server(sim, Cores(sim, 1).threads(), limit, Costs(), 0.001), OwnCore(sim)


def test_a_server_refuses_whoever_is_one_too_many():
    sim, server, client = alone(limit=2)
    had = []

    def connect():
        had.append((yield from server.connect(client)))

    for _ in range(3):
        sim.resume(connect())
    sim.run(1.0)
    assert [connection is None for connection in had] == [True, False, False]  # a refusal comes sooner
    assert (server.used_count, server.connects_count, server.refused_count) == (2, 2, 1)


@pytest.mark.parametrize("used_at_s", [0.0, 0.7])
def test_a_lease_ends_a_second_after_the_last_use(used_at_s):
    sim, server, client = alone(limit=2)

    def connect():
        connection = yield from server.connect(client, lease_s=1)
        if used_at_s:
            yield None, used_at_s
            yield from server.query(connection, client)

    sim.resume(connect())
    sim.run(used_at_s + 0.95)
    assert server.used_count == 1
    sim.run(used_at_s + 1.05)
    assert server.used_count == 0


# Repetitions


def test_the_same_seed_gives_the_same_outcome():
    first, second, other = (simulate("managed", World(plan(seed=seed))) for seed in (1, 1, 2))
    assert np.array_equal(first.latency_s, second.latency_s)
    assert len(first.due_s) != len(other.due_s)


@pytest.mark.parametrize("strategy", ["direct", "classic", "managed", "ideal"])
def test_each_arrival_has_one_outcome_also_in_an_overload(strategy):
    """All strategies have the same arrivals; 45 connections can serve 450 of the 2,000 in a second."""
    world = World(plan(rate=2000, duration="3s", work_ms=100.0, max_connections=45))
    outcome, other = simulate(strategy, world), simulate("cached", world)
    assert sorted(outcome.due_s) == sorted(other.due_s)
    assert abs(len(outcome.due_s) - 6000) < 4 * 6000**0.5
    assert outcome.latency_s.max() <= 10.1  # nobody outlives the timeout
    assert outcome.good_ratio() <= 450 / 2000


def test_classic_keeps_its_connections_while_the_server_is_calm():
    assert simulate("classic", World(plan(rate=100))).connects_count < 100


def test_without_costs_ideal_takes_the_round_trip_and_the_work():
    outcome = simulate("ideal", World(plan(), FREE, shares_cpu=False))
    assert outcome.good_ratio() == 1
    assert outcome.latency_s == pytest.approx(0.006, abs=1e-9)


def test_as_many_connections_as_littles_law_says_are_enough_and_half_of_them_are_not():
    """J. Little, "A Proof for the Queuing Formula: L = λW", 1961: 500/s of 21 ms each keep 10.5 busy."""
    one_pool = {"work_ms": 20.0, "ideal_reserve": 0, "processes": 1}
    world = World(plan(**one_pool, max_connections=20), FREE, shares_cpu=False)
    assert simulate("ideal", world).p99_ms(1) < 40
    half = replace(world, plan=plan(**one_pool, max_connections=8))
    assert simulate("ideal", half).p99_ms(1) > 1000


def test_cached_fills_the_server_with_what_nobody_uses():
    errors = simulate("cached", World(plan())).errors()
    assert errors["1040"] > 2000


@pytest.mark.parametrize("rate", [1000, 1500])
def test_the_policy_as_it_was_collapses_and_todays_does_not(rate):
    world = World(plan(rate=rate, duration="12s"), Costs().scaled(1.2))
    before, now = simulate("before", world), simulate("managed", world)
    assert before.good_ratio() < 0.9
    assert now.good_ratio() > before.good_ratio() + 0.05
    assert now.refused_count < before.refused_count / 3


@pytest.mark.parametrize("rate", [500, 1000, 2000])
def test_managed_keeps_the_goals_of_a_burst_where_functions_have_a_cpu_of_their_own(rate):
    """No error, no timeout, at least 99% good and never less than direct, and no wait over three seconds."""
    world = World(plan(rate=rate, duration="12s"), shares_cpu=False)
    managed, direct, ideal = (simulate(name, world) for name in ("managed", "direct", "ideal"))
    assert managed.errors() == {}
    assert managed.good_ratio() >= max(0.99, direct.good_ratio())
    assert managed.p99_ms(3) <= 3 * ideal.p99_ms(3)
    assert managed.longest_s() <= 3


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"deploy_at": 3.0}, "deploy_at_s"),
        ({"workload": "sleep"}, "workload"),
        ({"model": "closed"}, "model"),
    ],
)
def test_only_what_can_be_simulated_is(values, name):
    with pytest.raises(UsageError, match=f"{name} .* is not simulated, only"):
        World(plan(**values))


def test_a_shorter_lease_frees_what_nobody_uses_sooner():
    """What no server can do: the floor of the policy is the second that a lease takes at least."""
    second, tenth = (
        simulate("always", World(plan(rate=1500), shares_cpu=False, lease_s=lease_s))
        for lease_s in (1.0, 0.1)
    )
    assert tenth.longest_s() < second.longest_s() / 2


def test_patience_ends_a_wait_before_the_deadline():
    printed = simulator(
        "run", "storm", "--set", "duration=4s", "--strategies", "managed", "--patience", "0.5"
    )
    assert "1040" in printed
    assert float(printed.splitlines()[-1].split("|")[7]) < 2


# Commands


def simulator(*words):
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nosuch"), "unknown scenario 'nosuch'"),
        (("run", "ramp"), "ramp_s 10.0 is not simulated"),
        (("run", "storm", "--set", "foo=1"), "unknown option 'foo'"),
        (("run", "storm", "--set", "rate"), "--set rate is not name=value"),
        (("run", "storm", "--strategies", "nosuch"), "no strategy nosuch; there are direct"),
        (("validate", "tests"), "tests is not a run folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(words, said):
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_run_has_a_line_for_each_strategy():
    printed = simulator("run", "storm", "--set", "duration=3s", "--strategies", "direct,ideal", "--own-cpu")
    assert [line.split("|")[1].strip() for line in printed.splitlines()[2:]] == ["`direct`", "`ideal`"]


def test_the_map_is_a_table_and_a_picture(tmp_path):
    picture = tmp_path / "map.svg"
    printed = simulator("map", "--duration", "0.2s", "--svg", picture)
    assert len(printed.splitlines()) == 2 + 3 * 3 * 5
    assert picture.read_text("utf-8").count("<rect") == 1 + 3 * 3 * 5 * 5


@pytest.mark.nightly
@pytest.mark.usefixtures("mariadb_target")  # where there is one, a local server can be started
def test_calibrate_measures_what_each_side_spends(tmp_path):
    measured = json.loads(simulator("calibrate", "--server", "local", "--count", 200))
    assert set(measured) == set(asdict(Costs()))
    # Our own CPU: to connect, and to be refused, takes some times as much as a query.
    assert measured["connect_s"] > measured["query_s"] > 0
    assert measured["refused_s"] > measured["query_s"]
    assert all(seconds >= 0 for seconds in measured.values())
    path = Path(tmp_path / "costs.json")
    path.write_text(json.dumps(measured), "utf-8")
    assert Costs.read(path) == Costs(**measured)


@pytest.mark.nightly
def test_validate_shows_a_real_run_beside_a_simulated_one(place):
    assert place.run("bench", *QUICK, "--out", "run").code == 0
    lines = simulator("validate", place.folder / "run").splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [
        "50/s `direct`, measured", "50/s `direct`, simulated",
    ]  # fmt: skip
    assert [line.split("|")[2].strip() for line in lines] == ["100.0%", "100.0%"]
