"""What must hold whatever the rows are."""

from itertools import pairwise
from math import isnan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.report.connections import alive_at_once, judge_kills, zombies
from loadtest.report.figures import summarise_repetition
from loadtest.report.times import STATISTICS, moved, statistics
from loadtest.report.validity import Rule, stalled
from loadtest.results.rows import ConnectionLife, Invocation, Kill, Lag
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import Kills
from loadtest.settings.plan import Settings

from .conftest import Writer, frame_of, frames_of
from .summaries import summary_of as summary_json

NAN = float("nan")
META = {"start_s": 0.0, "deadline_s": 10.0, "ended_s": 11.0, "cut_off": False}
moments = st.integers(0, 40).map(lambda quarter: quarter / 4)  # ties are frequent and sums are exact
spans = st.tuples(moments, moments).map(sorted)
few = settings(max_examples=25, deadline=None)


@st.composite
def invocations(draw):
    due = draw(moments)
    error = draw(st.sampled_from(["", "", "1040 ER_CON_COUNT_ERROR", "throttled", "unfinished", "timeout"]))
    worker, container = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    started = NAN if error == "throttled" else due + draw(moments) / 4
    finished = NAN if error in ("throttled", "unfinished") else started + draw(moments) / 4 + 0.01
    return Invocation(
        worker, 0, 0, container, "x", due, started, finished, draw(st.booleans()),
        overhead_queries_count=draw(st.integers(0, 3)), error=error,
    )  # fmt: skip


@st.composite
def connections(draw):
    opened = draw(moments)
    reaped = draw(st.one_of(st.just(NAN), moments.map(lambda s: opened + s)))
    gone = draw(st.one_of(st.just(NAN), moments.map(lambda s: opened + s)))
    closed = draw(st.one_of(st.just(NAN), moments.map(lambda s: opened + s)))
    ids = st.integers(0, 5)
    return ConnectionLife(
        draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(ids), opened, closed, "open", reaped, gone
    )


kills = st.builds(
    Kill, st.integers(0, 2), st.integers(0, 2), st.integers(0, 5), moments, st.sampled_from(["", "1094"])
)
lags = st.builds(lambda worker, span: Lag(worker, *span), st.integers(0, 2), spans)


@few
@given(
    st.lists(invocations(), max_size=40), st.lists(connections(), max_size=15), st.lists(lags), st.randoms()
)
def test_permuting_the_rows_changes_nothing(rows, lives, stalls, random):
    def figures():
        frames = frames_of(META, invocations=rows, connections=lives, lags=stalls)
        return summarise_repetition(frames, Settings(slo_ms=500.0))

    before = figures()
    for some in (rows, lives, stalls):
        random.shuffle(some)
    assert figures() == before


@pytest.mark.parametrize("parts_count", [1, 2, 7])
def test_splitting_the_rows_into_parts_changes_nothing(tmp_path, parts_count):
    from loadtest.results import parquet

    from .conftest import table_of

    rng = np.random.default_rng(3)
    due = np.sort(rng.uniform(10, 20, 200))
    rows = [Invocation(0, i, 0, i, "x", d, d, d + 0.02 + rng.exponential(0.01)) for i, d in enumerate(due)]

    def summary_of(name, count):
        writer = Writer(tmp_path / name)
        repetition = writer.repetition("x", invocations=rows)
        repetition.whole_file("invocations", 0).unlink()
        for part in range(count):
            parquet.write_parquet(
                repetition.part_file("invocations", 0, part), table_of("invocations", rows[part::count])
            )
        return summary_json(RunFolder.open(writer.folder.path))

    assert summary_of("parts", parts_count) == summary_of("whole", 1)


@few
@given(st.lists(invocations(), max_size=40))
def test_the_parts_of_the_whole_add_up(rows):
    found = summarise_repetition(frames_of(META, invocations=rows), Settings())
    due = [row for row in rows if 0 <= row.due_s < 10]
    assert found.arrivals_count == len(due)
    failed = sum(found.errors.values())
    assert failed + sum(row.error == "" for row in due) == len(due)
    assert found.throttled_count == found.errors.get("throttled", 0)
    if due:
        assert found.error_ratio == failed / len(due)
        assert found.good_ratio + found.error_ratio <= 1
    else:
        assert found.error_ratio is None
        assert found.good_ratio is None


@few
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_numpys_over_all_rows(values):
    found = statistics(np.sort(np.array(values)))
    expected = {
        "mean": np.mean(values), "p50": np.percentile(values, 50), "p90": np.percentile(values, 90),
        "p95": np.percentile(values, 95), "p99": np.percentile(values, 99),
        "p999": np.percentile(values, 99.9), "max": max(values),
    }  # fmt: skip
    values_by_name = {name: getattr(found, name) for name in STATISTICS}
    assert values_by_name == pytest.approx(expected)
    assert all(type(value) is float for value in values_by_name.values())


@few
@given(st.lists(connections(), max_size=25))
def test_the_zombies_of_the_sweep_are_those_that_brute_force_counts(lives):
    left = [c for c in lives if not isnan(c.reaped_s) and not c.gone_s < c.reaped_s]
    moments_of_change = [c.reaped_s for c in left]
    alive = [sum(c.reaped_s <= t and not c.gone_s <= t for c in left) for t in moments_of_change]
    found = zombies(frame_of(ConnectionLife, lives))
    assert found.left_count == len(left)
    assert found.peak_count == max(alive, default=0)
    gone = [c.gone_s - c.reaped_s for c in left if not isnan(c.gone_s)]
    expected = float(np.median(gone)) if gone and len(gone) * 2 >= len(left) else None
    assert found.reclaim_p50_s == expected


@few
@given(st.lists(invocations(), max_size=30), st.lists(lags, max_size=12))
def test_disturbed_are_those_that_brute_force_finds(rows, stalls):
    def disturbed(row):
        end = next(t for t in (row.finished_s, row.started_s, row.due_s) if not isnan(t))
        still = [
            (lag.started_s, lag.finished_s)
            for lag in stalls
            if lag.worker == row.worker and lag.finished_s - lag.started_s > Rule().lag_s
        ]
        edges = sorted({row.due_s, end, *(t for lag in still for t in lag if row.due_s < t < end)})
        overlap_s = sum(
            after - before
            for before, after in pairwise(edges)
            if any(began < (before + after) / 2 < ended for began, ended in still)
        )
        return overlap_s > 0.05 * (end - row.due_s)

    found = stalled(frame_of(Invocation, rows), frame_of(Lag, stalls))
    assert found.tolist() == [disturbed(row) for row in rows]


@few
@given(
    st.lists(kills, max_size=12), st.lists(connections(), max_size=12), st.lists(invocations(), max_size=12)
)
def test_kills_are_judged_as_brute_force_judges_them(sent, lives, rows):
    counts = {"zombie": 0, "idle": 0, "busy": 0, "unknown": 0}
    lives = list({(c.server_id, c.opened_s): c for c in lives}.values())  # a server gives an id once
    rows = list({(r.worker, r.container, r.started_s): r for r in rows}.values())  # one at a time
    for kill in (k for k in sent if not k.error):
        had_it = [c for c in lives if c.server_id == kill.server_id and c.opened_s <= kill.at_s]
        victim = max(had_it, key=lambda c: c.opened_s, default=None)
        if victim is None or victim.closed_s < kill.at_s - 1 or victim.gone_s < kill.at_s - 1:
            counts["unknown"] += 1
            continue
        served = [
            r for r in rows
            if (r.worker, r.container) == (victim.worker, victim.container) and r.started_s <= kill.at_s
        ]  # fmt: skip
        last = max(served, key=lambda r: r.started_s, default=None)
        busy = last is not None and not last.finished_s <= kill.at_s
        counts["busy" if busy else "zombie" if victim.reaped_s <= kill.at_s else "idle"] += 1
    judged = judge_kills(
        frame_of(Kill, sent).astype({"at_s": float, "server_id": int}),
        frame_of(ConnectionLife, lives).astype({"opened_s": float, "server_id": int}),
        frame_of(Invocation, rows).astype({"worker": "int64", "container": "int64", "started_s": float}),
    )
    assert judged == (Kills(counts["zombie"], counts["idle"], counts["busy"]), counts["unknown"])


def test_an_interval_that_ends_where_the_next_begins_does_not_overlap_it():
    assert alive_at_once(np.array([1.0, 2.0, 2.0]), np.array([2.0, 2.0, NAN])) == 1


def test_a_statistic_moves_when_a_tenth_of_it_hangs_on_disturbed_rows():
    values = np.sort(np.r_[np.full(99, 20.0), 2000.0])
    hit = values > 100
    assert moved(values, hit, 0.10) == ["mean", "p99", "p999", "max"]
    assert moved(values, np.zeros(100, dtype=bool), 0.10) == []
    assert moved(values, np.ones(100, dtype=bool), 0.10)[0] == "mean"


def test_empty_tables_make_no_lag():
    assert stalled(frame_of(Invocation, []), pd.DataFrame(columns=Lag._fields, dtype=float)).tolist() == []
