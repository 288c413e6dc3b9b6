"""Every figure of a repetition of eleven arrivals, computed by hand."""

from itertools import count
from pathlib import Path

import pytest

from loadtest.report.files import write_report
from loadtest.results.rows import Attempt, ConnectionLife, Invocation, Kill, Lag, Pin, Sample, Start
from loadtest.results.summary import figure_names

from .conftest import Writer, generator_second
from .summaries import summary_of

NEVER = float("nan")
NUMBERS = count()


def invocation(due_s, started_s=NEVER, finished_s=NEVER, error="", *, worker=0, container=1, **more):
    return Invocation(
        worker, next(NUMBERS), 0, container, "managed", due_s, started_s, finished_s, error=error, **more
    )


# Arrivals from 10 to 20, warm-up 2: the window is [12, 20), 8 s.
INVOCATIONS = [
    # before the window
    invocation(11.9, 11.9, 11.95, overhead_queries_count=50, cold=True),
    # answered: latency 100, 20, 30 and 1,200 ms (not good); duration 100, 20, 20 and 1,150 ms
    invocation(12.0, 12.0, 12.1, container=1, overhead_queries_count=2),
    # due 13.0, cold start of 0.4, handler from 13.4 to 13.42: 20 ms
    invocation(13.0, 13.4, 13.42, container=2, cold=True, cold_start_s=0.4, overhead_queries_count=4),
    invocation(14.0, 14.01, 14.03, container=1),
    # of a real function, whose own statements nobody can tell
    invocation(
        15.0, 15.05, 16.2, container=3, worker=1, query_s=NEVER, manage_s=NEVER, overhead_queries_count=9
    ),
    # no answer
    invocation(16.0, 16.0, 16.5, "1040 ER_CON_COUNT_ERROR", container=2),
    invocation(16.1, 16.1, 16.6, "1040 ER_CON_COUNT_ERROR", container=4),
    invocation(17.0, error="throttled", container=-1),
    invocation(18.0, 18.0, error="unfinished", container=5),
    # the deadline itself is outside
    invocation(20.0, 20.0, 20.1),
]
# Each of them once; that of 14.0 for the second time, and then for a third, although it was answered.
ATTEMPTS = [
    *(
        Attempt(
            row.worker, row.arrival, 0, row.arrival, row.container, row.part, row.started_s, row.finished_s,
            row.cold, row.cold_start_s, row.error,
        )
        for row in INVOCATIONS
    ),
    Attempt(0, 3, 0, 0, 1, "managed", 14.0, 14.009, error="2013 CR_SERVER_LOST"),
    Attempt(0, 3, 0, 90, 1, "managed", 14.1, 14.111),
    # that of 12.0 once more, in the batch of the one that was cold, which is billed once
    Attempt(0, 1, 0, 2, 2, "managed", 13.4, 13.42, False, 0.4),
]  # fmt: skip
CONNECTIONS = [
    # opened before the repetition: not counted as opened
    ConnectionLife(0, 9, 100, 9.0, 12.5, "expired"),
    ConnectionLife(0, 1, 101, 12.0, 20.5, "closed"),
    # zombies: [14, 16), [15, 18) and [15.5, …): three at once from 15.5 to 16
    ConnectionLife(0, 2, 102, 13.4, NEVER, "zombie", 14.0, 16.0),
    ConnectionLife(1, 3, 103, 12.2, NEVER, "zombie", 15.0, 18.0),
    ConnectionLife(1, 6, 104, 12.3, NEVER, "zombie", 15.5),
    # the server had dropped it before its container went: no zombie
    ConnectionLife(1, 7, 105, 12.4, NEVER, "expired", 17.0, 16.0),
    ConnectionLife(0, 5, 106, 18.0, NEVER, "open"),
]
KILLS = [
    Kill(0, 8, 104, 16.0),  # reaped at 15.5: zombie
    Kill(0, 8, 101, 14.02),  # its container serves from 14.01 to 14.03: busy
    Kill(0, 8, 101, 14.5),  # between two invocations: idle
    Kill(1, 8, 106, 19.0),  # container 5 is still serving: busy
    Kill(1, 8, 103, 13.0, "1094 ER_NO_SUCH_THREAD"),  # did not happen
    Kill(1, 8, 999, 13.0),  # nobody knows this one
]
# Half of the second arrival's 20 ms, [13, 13.42] less the cold start, and a small part of worker 1's
# [15, 16.2]; one that touches nothing, and one that is too short to count.
LAGS = [Lag(0, 13.2, 13.21), Lag(1, 15.5, 15.55), Lag(1, 14.0, 14.02), Lag(0, 14.0, 14.004)]
# Container 1 was provisioned, and first invoked at 11.9; container 5 never answered.
STARTS = [
    Start(0, 1, "managed", 9.0, 0.2),
    Start(0, 2, "managed", 13.0, 0.4),
    Start(0, 5, "managed", 17.9, 0.3),
]
SAMPLES = [
    Sample(11.0, 40, 4, 36, 1.0, 7, 0, 100, 90, clients_count=50, waiting_count=0, pinned_count=3),
    Sample(12.0, 90, 4, 86, 1.0, 9, 0, 200, 90, clients_count=120, waiting_count=30, pinned_count=2),
    Sample(12.5, error="no answer within 1 s"),
    Sample(13.0, 80, 4, 76, 1.0, 30, 0, 300, 90, clients_count=110, waiting_count=31, pinned_count=1),
]
PINS = [Pin(0, 1, 13.0, "GET_LOCK"), Pin(0, 1, 13.0, "user variable"), Pin(1, 3, 15.0, "user variable")]
# Of the load's 10 s the database pauses for 2, 2 and 0.5; it is woken at 12 and 15.
PAUSES = [[9.0, 12.0], [13.0, 15.0], [19.5, None]]
GENERATOR = [
    generator_second(11.0, 0, cpu_ratio=1.0, loop_lag_max_ms=900.0, containers_count=1),  # before the window
    generator_second(
        13.0,
        0,
        cpu_ratio=0.5,
        loop_lag_max_ms=10.0,
        lateness_p99_ms=1.0,
        containers_count=3,
        functions_cpu_ratio=1.0,
        queued_count=5,
        queued_oldest_s=2.5,
    ),
    generator_second(
        13.2,
        1,
        cpu_ratio=0.3,
        loop_lag_max_ms=20.0,
        lateness_p99_ms=2.0,
        containers_count=4,
        functions_cpu_ratio=0.25,
        due_count=3,
        queued_count=4,
    ),
    generator_second(
        14.0,
        0,
        cpu_ratio=0.7,
        loop_lag_max_ms=10.0,
        lateness_p99_ms=1.0,
        containers_count=5,
        functions_cpu_ratio=0.5,
        due_count=7,
        queued_count=7,
        queued_oldest_s=0.5,
        opened_count=5,
        refused_count=23,
    ),
]

LEDGER = {
    "acknowledged_count": 5, "lost_count": 0, "doubled_count": 1, "unknown_count": 2,
    "unknown_written_count": 1, "unexpected_count": 0,
}  # fmt: skip
EXPECTED = {
    "valid": False,
    # of the window's 8 arrivals 7 started, and one of these was disturbed
    "reasons": [
        (
            "14.3% of its invocations were disturbed by a stall of the generator over 5 ms, "
            "or a second in which the machine was over 90% busy (limit: 5%); "
            "the processes of its functions used 1.0 cores, of which on AWS each has its own: "
            "start them before the load (--provisioned), or use fewer at a time"
        ),
    ],
    "arrivals_count": 8,
    "good_ratio": 3 / 8,
    "error_ratio": 4 / 8,
    "errors": {"1040 ER_CON_COUNT_ERROR": 2, "throttled": 1, "unfinished": 1},
    "throttled_count": 1,
    "unfinished_count": 1,
    "throughput_per_s": 4 / 8,
    # sorted 20, 30, 100, 1200; the percentile q lies at 3q between them
    "latency_ms": {
        "mean": 337.5,
        "p50": 65.0,  # at 1.5
        "p90": 100 + 0.7 * 1100,  # at 2.7
        "p95": 100 + 0.85 * 1100,
        "p99": 100 + 0.97 * 1100,
        "p999": 100 + 0.997 * 1100,
        "max": 1200.0,
        # without the 20: 30, 100, 1200: mean 443.3, p50 100, p90 980 (870 + 12.6%), p95 1,090 (1,035 + 5.3%)
        "disturbed": ["mean", "p50", "p90", "p95"],
    },
    # sorted 20, 20, 100, 1150
    "duration_ms": {
        "mean": 322.5,
        "p50": 60.0,
        "p90": 100 + 0.7 * 1050,
        "p95": 100 + 0.85 * 1050,
        "p99": 100 + 0.97 * 1050,
        "p999": 100 + 0.997 * 1050,
        "max": 1150.0,
        # without one 20: 20, 100, 1150: mean 423.3, p50 100, p90 940 (835 + 12.6%)
        "disturbed": ["mean", "p50", "p90", "p95"],
    },
    "cold_starts_count": 1,
    "containers_peak_count": 9,  # 5 of worker 0 in second 14, and the 4 of worker 1 a second before
    "starts": {
        "count": 3,
        "init_p50_ms": 300.0,  # 200, 300, 400
        "init_p99_ms": 300 + 0.98 * 100,
        "first_p50_ms": 35.0,  # 20 and 50
        "first_p99_ms": 20 + 0.99 * 30,
    },
    "connections": {"peak_count": 90, "opened_count": 6, "refused_count": 23, "expired_count": 2},
    "zombies": {"left_count": 3, "peak_count": 3, "reclaim_p50_s": 2.5},
    "kills": {"zombie_count": 1, "idle_count": 1, "busy_count": 2},
    "overhead_queries_per_invocation": 6 / 6,
    "generator": {
        "lateness_p99_ms": 1 + 0.98,  # 1, 1, 2 at 1.98
        "loop_lag_p99_ms": 10 + 0.98 * 10,
        "cpu_ratio": 0.6,  # worker 0: 0.5 and 0.7
        "functions_cpu_ratio": 1.0,  # worker 0: 1 and 0.5, and the 0.25 of worker 1
        "disturbed_ratio": 1 / 7,
    },
    # Billed: 100, 20 and 400 of init, 20, 1150, 500 and 500 ms, and 9 and 11 of the other two attempts at one
    # of them; 128 MB are an eighth of a GB.
    "cost": {
        "billed_ms": 2710 / 8,
        "million_usd": 0.2 + 1e6 * 2.71 / 8 / 8 * 0.00002,
        # 8 invocations in 8 s, in a month of 730 hours
        "functions_month_usd": (0.2 + 1e6 * 2.71 / 8 / 8 * 0.00002) / 1e6 * 8 / 8 * 730 * 3600,
        "database_month_usd": 73 * 0.55,
        # of the window's 8 s: 2, 3 and 4.5 s, each of one of 90 connections
        "zombies_month_usd": 73 * 0.55 * 9.5 / 8 / 90,
        "proxy_month_usd": 0.015 * 2 * 730,
        "month_usd": (0.2 + 1e6 * 2.71 / 8 / 8 * 0.00002) / 1e6 * 8 / 8 * 730 * 3600 + 73 * 0.55 + 21.9,
    },
    "integrity": LEDGER,
    "proxy": {
        "clients_peak_count": 120, "waiting_peak_count": 31, "pinned_peak_count": 3,
        "pins": {"user variable": 2, "GET_LOCK": 1},
    },
    "pause": {"paused_ratio": 0.45, "resumes_count": 2},
    "queue": {
        "deliveries_count": 10,  # of the window's 8 arrivals all but the throttled one, and three more
        "throttles_count": 1,
        "retries_count": 2,  # both after the one that failed
        "duplicates_count": 2,
        "dead_letters_count": 3,
        "waiting_peak_count": 11,  # 7 of worker 0 in second 14, and the 4 of worker 1 a second before
        "oldest_peak_s": 2.5,
    },
    "reconciliation": [
        {
            "name": "arrivals", "left": 10, "right": 10, "difference": 0, "tolerance": 0, "holds": True,
            "reason": "",
        },
        *(
            {
                "name": name, "left": None, "right": right, "difference": None, "tolerance": tolerance,
                "holds": None, "reason": "what its functions send cannot be read",
            }
            # 4 connections have the times that their fate needs; a sample failed
            for name, right, tolerance in (
                ("connections", 4, 0), ("connects", None, 1), ("refusals", None, 1),
                ("aborted clients", None, 1), ("statements", None, 7),
            )
        ),
    ],
}  # fmt: skip


@pytest.fixture
def golden(tmp_path: Path) -> Writer:
    writer = Writer(
        tmp_path / "golden", warmup_s=2.0, strategies=["managed", "ideal"], profile="aurora.t4g.medium"
    )
    writer.repetition(
        "managed",
        {
            "start_s": 10.0, "deadline_s": 20.0, "ended_s": 21.0, "cut_off": False, "ledger": LEDGER,
            "proxy": {"name": "haproxy", "kind": "haproxy"}, "pauses": PAUSES,
        },
        SAMPLES,
        GENERATOR,
        invocations=INVOCATIONS,
        connections=CONNECTIONS,
        kills=KILLS,
        attempts=ATTEMPTS,
        pins=PINS,
        lags=LAGS,
        starts=STARTS,
    )  # fmt: skip
    return writer


def rounded(value):
    """Floats to 9 digits, at any depth."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_every_figure_of_a_tiny_repetition_is_what_a_hand_computes(golden):
    summary = summary_of(golden.folder)
    found = summary["arms"]["managed"]["repetitions"][0]
    for key, value in EXPECTED.items():
        assert rounded(found[key]) == rounded(value), key
    assert list(found) == list(EXPECTED), "exactly these fields, in this order"


def test_the_whole_summary_carries_the_run_and_its_warnings(golden):
    summary = summary_of(golden.folder)
    assert list(summary) == ["schema", "scenario", "server", "environment", "valid", "warnings", "arms"]
    assert summary["schema"] == 1
    assert summary["valid"] is False
    assert summary["server"] == {"version": "9.7.0", "max_connections": 90, "path": "host"}
    reason = EXPECTED["reasons"][0]
    assert summary["warnings"] == [
        f"managed/01 is not valid for times: {reason}",
        "managed/01: KILLs not counted, because no row shows what they hit: 1",
        "managed/01: of 5 acknowledged writes, 0 were lost and 1 doubled",
        "ideal was not run",
    ]


def test_the_median_has_no_times_where_no_repetition_is_valid_but_all_counts(golden):
    median = summary_of(golden.folder)["arms"]["managed"]["median"]
    assert median["latency_ms"] == dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "p999", "max")) | {
        "disturbed": []
    }
    assert median["starts"] == {**dict.fromkeys(EXPECTED["starts"]), "count": 3}
    assert median["error_ratio"] == 0.5
    assert median["errors"] == EXPECTED["errors"]


def test_every_arm_that_was_asked_for_and_is_not_there_is_named(tmp_path):
    strategies = ["managed", "new=shop:New", "a=managed:0.5+b=cached:0.5"]
    writer = Writer(tmp_path / "run", strategies=strategies)
    writer.repetition("managed", invocations=INVOCATIONS)
    warnings = summary_of(writer.folder)["warnings"]
    assert warnings[-2:] == ["new was not run", "a=managed:0.5+b=cached:0.5 was not run"]


def test_the_schema_names_every_figure_of_a_repetition():
    numbers = {
        f"{group}.{name}" if name else group
        for group, values in EXPECTED.items()
        for name in (values if isinstance(values, dict) else [""])
    }
    others = ("valid", "reasons", "errors", "reconciliation")
    numbers = {name for name in numbers if name.split(".")[0] not in others}
    assert {name for name in numbers if not name.endswith((".disturbed", ".pins"))} == set(figure_names())


def test_the_same_folder_gives_the_same_bytes(golden):
    write_report(golden.folder)
    first = golden.folder.summary.read_bytes()
    write_report(golden.folder)
    assert golden.folder.summary.read_bytes() == first
