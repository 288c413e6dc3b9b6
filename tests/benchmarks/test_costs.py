"""What the harness itself costs. `make benchmarks` prints the ratios."""

import statistics
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from loadtest.report.frame_reader import read_repetition
from loadtest.report.validity import stalled
from loadtest.server.connections import session
from tests.swarm.locusts import run

HERE = Path(__file__).parent
SATURATED = {
    "model": "closed", "think_time_ms": 0.0, "work_ms": 0.0, "rtt_ms": 0.0, "cold_start_ms": 0.0,
    "workload": "select-1", "lifetime_s": 1000.0,
}  # fmt: skip


@pytest.fixture
def seconds(pick):
    return pick(6.0, 3.0)


@pytest.fixture
def rounds(pick):
    return pick(5, 1)


def saturated(target, folder, strategy, seconds):
    """Answered invocations a second."""
    return per_second(run(target, folder, strategy, containers=10, duration_s=seconds, **SATURATED))


def per_second(ran):
    answered = [row for row in ran.invocations if row["error"] == ""]
    assert len(answered) >= 0.999 * len(ran.invocations), {r["error"] for r in ran.invocations}
    return len(answered) / (ran.meta["deadline_s"] - ran.meta["start_s"])


def ratio_of_medians(ours, theirs):
    return statistics.median(ours) / statistics.median(theirs)


def test_p1_a_kept_connection_at_saturation_against_a_textbook_locustfile(
    mariadb_target, tmp_path, say, pick, seconds, rounds
):
    account = mariadb_target.functions
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(saturated(mariadb_target, tmp_path / str(number), "cached", seconds))
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(HERE / "textbook.py"), "--headless", "-u", "10",
             "-r", "10", "-t", f"{seconds + 3:.0f}s", "--only-summary"],
            capture_output=True, text=True, check=True, cwd=tmp_path,
            env={"PORT": str(account.port), "ACCOUNT": account.user, "PASSWORD": account.password,
                 "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        theirs.append(float(done.stdout.split("RATE ")[1].split()[0]))
    ratio = ratio_of_medians(ours, theirs)
    say(
        f"P1: {ratio:.2f} of a textbook locustfile ({statistics.median(ours):,.0f}/s with every row recorded)"
    )
    assert ratio >= pick(0.8, 0.1)


def test_p2_connect_query_close_against_a_bare_gevent_loop(
    mysql_target, tmp_path, say, alone, pick, seconds, rounds
):
    account = mysql_target.functions
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(saturated(mysql_target, tmp_path / str(number), "direct", seconds))
        printed = alone("bare_loop.py", account.port, account.user, account.password, 10, seconds)
        theirs.append(float(printed))
    ratio = ratio_of_medians(ours, theirs)
    say(f"P2: {ratio:.2f} of a bare gevent loop ({statistics.median(ours):,.0f}/s)")
    assert ratio >= pick(0.9, 0.1)


@pytest.mark.parametrize(("strategy", "keeps", "limit_bytes"), [("cached", 1, 15_000), ("managed", 0, 1_000)])
def test_p3_memory_of_ten_thousand_idle_containers(alone, say, pick, strategy, keeps, limit_bytes):
    count = pick(10_000, 1_000)
    with subprocess.Popen(
        ["bash", "-c", f"ulimit -n $(ulimit -Hn); exec {sys.executable} {HERE / 'handshakes.py'}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as stand_in:  # fmt: skip
        port = stand_in.stdout.readline().strip()
        each, open_count = alone("idle_containers.py", strategy, count, port).split()
        stand_in.stdin.close()
    assert int(open_count) == keeps * (count + 200)
    say(f"P3: {float(each):,.0f} bytes for an idle container {'with' if keeps else 'without'} a connection")
    assert float(each) <= pick(1, 2) * limit_bytes


@contextmanager
def statements_of(target):
    """The server's own times of the workload's statements, collected before its short memory forgets."""
    history = "performance_schema.events_statements_history_long"
    consumer = (
        "UPDATE performance_schema.setup_consumers SET enabled = %s "
        "WHERE name = 'events_statements_history_long'"
    )
    found, over = {}, threading.Event()

    def collect(cursor):
        is_last = False
        while not is_last:
            is_last = over.wait(1.0)  # and once more, however late it comes
            cursor.execute(
                f"SELECT thread_id, event_id, timer_start, timer_wait / 1e12, sql_text FROM {history} "
                "WHERE sql_text LIKE 'SELECT id, payload FROM loadtest_rows%'"
            )
            found.update({row[:2]: row[2:] for row in cursor.fetchall()})

    with session(target.admin) as cursor:
        cursor.execute(consumer, ("YES",))
        cursor.execute(f"TRUNCATE {history}")
        collector = threading.Thread(target=collect, args=(cursor,))
        collector.start()
        yield found
        over.set()
        collector.join()
        cursor.execute(consumer, ("NO",))


def test_p7_reported_query_time_against_the_servers_own(mysql_target, tmp_path, say, pick):
    with statements_of(mysql_target) as found:
        ran = run(
            mysql_target, tmp_path / "r", "ideal", rate=300.0, rtt_ms=0.0, work_ms=5.0,
            duration_s=pick(10.0, 3.0),
        )  # fmt: skip
    by_group = {}
    for _, wait_s, text in sorted(found.values()):
        by_group.setdefault(int(text.split()[-1]), []).append(float(wait_s))
    frames = read_repetition(ran.repetition)
    rows = frames.invocations.assign(disturbed=stalled(frames.invocations, frames.lags))
    assert len(found) == len(rows)
    pairs_ms = []
    for row in rows.sort_values("started_s").itertuples():
        wait_s = by_group[1 + (row.client * 7919 + row.arrival) % 1000].pop(0)
        if not row.disturbed:
            pairs_ms.append((row.query_s * 1000, wait_s * 1000))
    reported_ms, servers_ms = np.array(pairs_ms).T
    p50, p99 = np.percentile(reported_ms - servers_ms, [50, 99])
    ratio = np.median(reported_ms) / np.median(servers_ms)
    say(
        f"P7: query time over the server's own, of {len(pairs_ms):,} of {len(rows):,}: "
        f"p50 {p50:.3f} ms, p99 {p99:.3f} ms; {ratio:.2f} of it at the median"
    )
    # Single answers may come before the server has ended its own clock: it sends first.
    assert 1 < ratio < pick(4, 20)


def test_p10_cpu_for_each_invocation_does_not_grow_with_the_fleet(mariadb_target, tmp_path, say, pick):
    counts, seconds = pick((10, 100, 1_000, 10_000), (10, 1_000)), pick(10.0, 6.0)
    ran = {count: at_400_a_second(mariadb_target, tmp_path / str(count), count, seconds) for count in counts}
    costs = {count: cpu_us(one) for count, one in ran.items()}
    say("P10: CPU for an invocation: " + ", ".join(f"{cost:.0f} µs at {n:,}" for n, cost in costs.items()))
    ratio = costs[counts[-1]] / costs[counts[0]]
    say(f"P10: {ratio:.2f} from first to last")
    say("Memory of the process: " + ", ".join(f"{rss_mb(one):.0f} MB at {n:,}" for n, one in ran.items()))
    assert ratio <= pick(1.5, 3.0)
    assert rss_mb(ran[counts[-1]]) - rss_mb(ran[counts[0]]) <= counts[-1] * 0.05


@pytest.mark.alone
def test_more_processes_make_more_load(mariadb_target, tmp_path, say, pick):
    counts, seconds = pick((1, 2, 4), (1, 2)), pick(8.0, 4.0)
    per_s, cost_us = {}, {}
    for count in counts:
        ran = run(
            mariadb_target, tmp_path / str(count), "cached", containers=10 * count, processes=count,
            duration_s=seconds, **SATURATED,
        )  # fmt: skip
        per_s[count], cost_us[count] = per_second(ran), cpu_us(ran)
    say(
        "invocations/s and CPU of each, by processes: "
        + ", ".join(f"{n}: {per_s[n]:,.0f}/s, {cost_us[n]:.0f} µs" for n in counts)
    )
    # With two cores, a server takes its share of them.
    assert per_s[2] >= pick(1.2, 0.6) * per_s[1]
    assert cost_us[counts[-1]] <= pick(2, 5) * cost_us[1]


def at_400_a_second(target, folder, count, seconds):
    """A closed fleet of ``count`` containers that makes 400 invocations a second."""
    think_s = count / 400.0
    ramp_s = min(think_s, 25.0)
    return run(
        target, folder, "ideal", model="closed", containers=count, think_time_ms=think_s * 1000,
        ramp_s=ramp_s, duration_s=ramp_s + seconds, work_ms=0.0, rtt_ms=0.0, workload="select-1",
        lifetime_s=1000.0, cold_start_ms=0.0,
    )  # fmt: skip


def cpu_us(ran):
    """CPU of the generator for each invocation, once all containers are there.

    A row of ``generator.csv`` has the ratio since the row before it, which is a second or, on a machine
    that stood still, longer. So the CPU between the first and the last of a process is what they add up to.
    """
    cpu_s, invocations_count = 0.0, 0
    for worker, rows in by_worker(ran).items():
        first_s, last_s = rows[0][0], rows[-1][0]
        cpu_s += sum(ratio * (at_s - before_s) for (before_s, _), (at_s, ratio) in pairwise(rows))
        own = (row["due_s"] for row in ran.invocations if row["worker"] == worker)
        invocations_count += sum(first_s < due_s <= last_s for due_s in own)
    return cpu_s / invocations_count * 1e6


def by_worker(ran):
    """Times and CPU ratios of each generator process, from the end of the ramp on."""
    from_s = ran.meta["start_s"] + ran.folder.read_run()["settings"]["ramp_s"]
    found = {}
    for row in ran.repetition.csv_rows(ran.repetition.generator):
        if from_s < float(row["at_s"]) < ran.meta["deadline_s"]:
            found.setdefault(int(row["worker"]), []).append((float(row["at_s"]), float(row["cpu_ratio"])))
    return found


def rss_mb(ran):
    return max(float(row["rss_bytes"]) for row in ran.repetition.csv_rows(ran.repetition.generator)) / 1e6


def test_recording_does_not_stall_the_loop(mysql_target, tmp_path, say, pick):
    lags_ms = {"with": [], "without": []}
    for number in range(pick(3, 1)):
        for name, locustfile in (("with", None), ("without", HERE / "unrecorded.py")):
            ran = run(
                mysql_target, tmp_path / f"{name}{number}", "ideal", locustfile=locustfile, rate=500.0,
                duration_s=pick(8.0, 4.0), work_ms=20.0,
            )  # fmt: skip
            seconds = ran.repetition.csv_rows(ran.repetition.generator)[1:]
            lags_ms[name] += [float(row["loop_lag_max_ms"]) for row in seconds]
    shown = {name: np.percentile(values, [50, 90]) for name, values in lags_ms.items()}
    say(
        "greatest lag of the loop in a second, p50 and p90 in ms: "
        + ", ".join(f"{name} recording {p50:.2f} and {p90:.2f}" for name, (p50, p90) in shown.items())
    )
    # In short there are few seconds, and the machine may have stood still in half of them.
    least = {name: min(values) for name, values in lags_ms.items()}
    compared = pick({name: p50 for name, (p50, _) in shown.items()}, least)
    assert compared["with"] <= pick(3, 20) * compared["without"]
