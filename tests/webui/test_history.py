"""One test in the page's list."""

from pathlib import Path

from loadtest.settings.plan import Settings
from loadtest.webui.history import SERIES, PageTest, load


def a_test(**settings):
    return PageTest(1, Path("/results/x"), "cached", Settings(**settings), 0.0)


def second(at_s, **values):
    return {**dict.fromkeys(SERIES, 0.0), "at_s": at_s, **values}


def test_errors_count_by_their_code_and_strange_ones_together():
    test = a_test()
    test.add(second(1.0, arrivals_count=20.0), {"1040 ER_CON_COUNT_ERROR": 3, "timeout": 1, "ValueError": 2})
    assert test.points.columns["1040"] == [3.0]
    assert test.points.columns["timeout"] == [1.0]
    assert test.points.columns["other"] == [2.0]
    assert test.line()["errors_percent"] == 100 * 6 / 20


def test_most_connections_leave_out_seconds_that_nobody_sampled():
    test = a_test()
    test.add(second(1.0, working_count=5.0, idle_count=4.0, zombies_count=1.0), {})
    test.add(second(2.0, working_count=None, idle_count=None, zombies_count=None), {})
    test.add({"at_s": 3.0}, {})
    assert test.line()["peak_count"] == 10


def test_without_arrivals_the_ratio_is_unknown():
    assert a_test().line()["errors_percent"] is None


def test_the_load_in_a_few_words():
    assert load(Settings(rate=500, duration_s=30)) == "500/s, 30 s, 0.01 reaped"
    assert load(Settings(rate=500, duration_s=30, ramp_s=10)) == "500/s, 30 s, 10 s ramp, 0.01 reaped"
    assert load(Settings(shape="spike")) == "500/s, 30 s, spike, 0.01 reaped"
    assert load(Settings(model="closed", containers=1200)).startswith("1,200 containers, ")
