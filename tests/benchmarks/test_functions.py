"""What real functions cost on this machine, beside what they do. `make benchmarks` prints it."""

import shutil
import statistics
import time
from itertools import pairwise
from pathlib import Path

import psutil

from loadtest.fleet.real.environment import Environment
from loadtest.fleet.real.launch_command import launch_of
from loadtest.settings.strategy import parse
from tests.swarm.locusts import run

FUNCTIONS = Path(__file__).parent / "functions"
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PAIRS = (
    ("cached", EXAMPLES / "python-cached" / "app"), ("direct", EXAMPLES / "python-direct" / "app"),
    ("managed", EXAMPLES / "python-managed" / "app"), ("classic", FUNCTIONS / "classic"),
)  # fmt: skip
STEADY = {"rtt_ms": 0.0, "work_ms": 0.0, "cold_start_ms": 0.0, "function_timeout_s": 15.0}


def function(name, handler):
    return f"{name}=lambda:python:{FUNCTIONS}/app.{handler}"


def generator_cpu_ms(ran):
    """Of the generator, for each invocation after the first second: host, relay, recording and all.

    A row has the ratio since the row before it; the last is of the end, however late.
    """
    seconds = ran.repetition.csv_rows(ran.repetition.generator)
    rows = [one for one in seconds if float(one["at_s"]) > ran.meta["start_s"] + 1]
    used_s = sum(
        float(after["cpu_ratio"]) * (float(after["at_s"]) - float(before["at_s"]))
        for before, after in pairwise(rows)
    )
    return 1000 * used_s / (int(rows[-1]["arrivals_count"]) - int(rows[0]["arrivals_count"]))


def p50_ms(ran):
    rows = [row for row in ran.invocations if row["error"] == "" and not row["cold"]]
    return 1000 * statistics.median(row["finished_s"] - row["started_s"] for row in rows[len(rows) // 5 :])


def test_host_and_relay_of_an_invocation_against_an_emulated_one(mariadb_target, tmp_path, say, pick):
    rate, duration_s = pick((100.0, 15.0), (20.0, 3.0))
    common = {**STEADY, "rate": rate, "duration_s": duration_s, "provisioned": 8}
    emulated = run(mariadb_target, tmp_path / "emulated", "cached", **common)
    real = run(mariadb_target, tmp_path / "real", function("real", "one_query"), **common)
    ours, theirs = generator_cpu_ms(real), generator_cpu_ms(emulated)
    say(f"host and relay: {ours:.2f} ms of CPU an invocation; an emulated one takes {theirs:.2f} ms")
    assert ours < pick(2.0, 6.0) * theirs
    assert real.errors() == emulated.errors() == {""}


def test_the_relay_adds_little_to_a_query(mariadb_target, tmp_path, say, pick):
    rate, duration_s = pick((200.0, 10.0), (20.0, 3.0))
    common = {**STEADY, "rate": rate, "duration_s": duration_s, "provisioned": 12}
    folder = tmp_path / "without"
    shutil.copytree(FUNCTIONS, folder)
    (folder / "function.toml").write_text(
        f'[environment]\nSERVERS_PORT = "{mariadb_target.functions.port}"\n'
    )
    added = []
    for number in range(pick(3, 1)):
        through = run(mariadb_target, tmp_path / f"with-{number}", function("relay", "one_query"), **common)
        without = f"without=lambda:python:{folder}/app.one_query"
        beside = run(mariadb_target, tmp_path / f"without-{number}", without, **common)
        assert through.connections
        assert not beside.connections, "they go by it"
        added.append(p50_ms(through) - p50_ms(beside))
    say(f"the relay adds {statistics.median(added):.2f} ms to the median of an invocation with one query")
    assert statistics.median(added) < pick(0.5, 30.0)


def test_a_real_function_does_what_its_emulation_does(mariadb_target, tmp_path, say, pick):
    rate, duration_s = pick((100.0, 10.0), (20.0, 3.0))
    common = {
        "rate": rate,
        "duration_s": duration_s,
        "work_ms": 20.0,
        "provisioned": 8,
        "reap_probability": 0.05,
        "function_timeout_s": 15.0,
    }
    nothing_ms = p50_ms(run(mariadb_target, tmp_path / "empty", function("empty", "empty"), **common))
    for name, path in pick(PAIRS, PAIRS[:1]):
        real = run(mariadb_target, tmp_path / f"real-{name}", f"real=lambda:python:{path}.handler", **common)
        emulated = run(mariadb_target, tmp_path / name, name, **common)
        assert real.errors() == emulated.errors() == {""}
        ratio = p50_ms(emulated) / (p50_ms(real) - nothing_ms)
        say(f"{name}: emulated / real, less an empty one's {nothing_ms:.1f} ms: {ratio:.2f} at p50")
        assert pick(0.9, 0.25) < ratio < pick(1.1, 4.0)
        left = [sum(life["fate"] == "zombie" for life in ran.connections) for ran in (emulated, real)]
        assert abs(left[0] - left[1]) <= pick(5, 3), f"zombies of {name}: emulated, real"


def test_starting_containers_before_the_load(tmp_path, say, pick):
    """Two hundred of them, each a Python with PyMySQL, as many at once as there are cores."""
    count = pick(200, 4)
    (part,) = parse(function("many", "empty"))
    launch, made = launch_of(part, ""), []
    began_s = time.monotonic()
    try:
        for number in range(count):
            made.append(Environment(launch, {"MYSQL_HOST": "127.0.0.1"}, tmp_path / f"{number}.log"))
            made[-1].start()
        took_s = time.monotonic() - began_s
        assert [one.failure for one in made] == [None] * count
        rss_mb = statistics.median(psutil.Process(one._process.pid).memory_info().rss for one in made) / 2**20
    finally:
        for one in made:
            one.kill()
    say(f"{count} Python containers in {took_s:.1f} s, one after another; {rss_mb:.0f} MB each")
    assert rss_mb < 128
