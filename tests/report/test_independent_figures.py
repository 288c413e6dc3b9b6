"""Every figure is computed a second time, by DuckDB's SQL (figures_in_sql.py), from the same files."""

import tempfile
from math import isclose
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from loadtest.report.run_summary import summarise_run
from loadtest.results.rows import Sample, Start
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import figure_names, number_at
from tests.swarm.locusts import run

from .conftest import PRICES, Writer, generator_second
from .figures_in_sql import FIGURES, figures
from .test_golden import golden as golden
from .test_properties import connections, invocations, kills, lags, moments

CLOSE = 1e-9  # relative: sums of floats in another order
ARM = "x"


def agree(ours, theirs):
    if ours is None or theirs is None:
        return ours is theirs
    return isclose(ours, theirs, rel_tol=CLOSE, abs_tol=CLOSE)


def assert_agree(folder: RunFolder) -> dict[str, float | None]:
    """Of each repetition in a run folder; returns the figures of the last."""
    found = {}
    chosen = folder.read_run()["settings"]
    for name, arm in summarise_run(folder).arms.items():
        for repetition, ours in zip(folder.repetitions(name), arm.repetitions, strict=True):
            found = {figure: number_at(ours, figure.split(".")) for figure in figure_names()}
            theirs = figures(repetition, chosen)
            wrong = {
                figure: (found[figure], theirs[figure])
                for figure in found
                if not agree(found[figure], theirs[figure])
            }
            assert wrong == {}, "figure: (ours, by SQL)"
    return found


def test_every_figure_has_its_sql():
    assert set(FIGURES) == set(figure_names())


def test_a_repetition_that_has_every_figure(golden):
    assert None not in assert_agree(golden.folder).values()


@pytest.mark.parametrize("strategy", ["managed"])
def test_a_real_run(target, tmp_path, strategy):
    ran = run(
        target, tmp_path / "r", strategy, rate=80.0, reap_probability=0.2, duration_s=3.0, warmup_s=1.0
    )  # fmt: skip
    ran.folder.write_run({**ran.folder.read_run(), "prices": PRICES})
    found = assert_agree(ran.folder)
    assert found["connections.opened_count"] > 0
    assert found["zombies.left_count"] > 0


seconds = st.builds(
    lambda at_s, worker, values: generator_second(at_s, worker, **values),
    moments,
    st.integers(0, 2),
    st.fixed_dictionaries(
        {
            "containers_count": st.integers(0, 9),
            "cpu_ratio": st.sampled_from([0.25, 0.5]),
            "machine_cpu_ratio": st.sampled_from([0.5, 0.95]),
            "functions_cpu_ratio": st.sampled_from([float("nan"), 0.5]),
            "lateness_p99_ms": st.sampled_from([float("nan"), 1.0, 2.0]),
            "loop_lag_max_ms": st.integers(0, 9).map(float),
        }
    ),
)
samples = st.builds(
    lambda at_s, count, refused: Sample(at_s, count, refused_count=refused),
    moments,
    st.one_of(st.none(), st.integers(0, 90)),
    st.one_of(st.none(), st.integers(0, 5)),
)
starts = st.builds(
    lambda container, init: Start(0, container, ARM, 0.0, init),
    st.integers(0, 2),
    moments.map(lambda s: s / 8),
)


def one_each(strategy, key, **limits):
    return st.lists(strategy, unique_by=key, **limits)


@seed(1)
@settings(
    max_examples=8,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    # A container serves one invocation at a time, and a server gives an id once.
    one_each(invocations(), lambda row: (row.container, row.started_s), max_size=25),
    one_each(connections(), lambda row: (row.server_id, row.opened_s), max_size=12),
    st.lists(kills, max_size=8),
    st.lists(lags, max_size=6),
    one_each(starts, lambda row: row.container, max_size=3),
    one_each(samples, lambda row: row.at_s, max_size=6),
    one_each(seconds, lambda row: (row.worker, row.at_s), max_size=12),
)
def test_made_up_repetitions(rows, lives, sent, stalls, begun, sampled, health):
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder) / "run", slo_ms=500.0, warmup_s=1.0)
        meta = {"start_s": 0.0, "deadline_s": 8.0, "ended_s": 7.0, "cut_off": False}
        writer.repetition(
            ARM, meta, sampled, health, invocations=[*rows], connections=lives, kills=sent, lags=stalls,
            starts=begun,
        )  # fmt: skip
        if rows:
            assert_agree(writer.folder)
