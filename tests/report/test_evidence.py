"""Intervals and verdicts: against scipy, against simulation, against figures worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.comparisons.evidence import Term, difference, holm, needed_repetitions, zero_bound
from loadtest.report.comparisons.t_distribution import quantile, two_sided_p


@pytest.fixture(scope="module")
def stats():
    """Its import takes two seconds, so not where the tests are collected."""
    import scipy.stats

    return scipy.stats


@given(st.floats(0, 60), st.floats(0.5, 300))
def test_student_s_p_is_scipy_s(stats, t, df):
    assert two_sided_p(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-7, abs=1e-290)


@given(st.floats(0.5, 0.999), st.floats(0.8, 300))
def test_student_s_quantile_is_scipy_s(stats, level, df):
    assert quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-9)


SPREAD = st.lists(st.floats(10, 1000), min_size=2, max_size=12).filter(lambda v: np.std(v) > 1e-3)


@given(SPREAD, SPREAD)
def test_the_interval_is_welch_s(stats, base, candidate):
    found = difference([Term(base, -1), Term(candidate, 1)], 0.0)
    theirs = stats.ttest_ind(candidate, base, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6, abs=1e-6)


def test_a_verdict_needs_the_whole_interval_beyond_the_threshold(stats):
    terms = [Term([1.0, 1.1, 0.9], -1), Term([2.0, 2.1, 1.9], 1)]
    half = float(stats.t.ppf(0.975, 4)) * math.sqrt(2 * 0.01 / 3)
    for threshold, told in ((1 - half - 1e-6, True), (1 - half + 1e-6, False), (1.5, False)):
        assert (difference(terms, float(threshold)).p <= 0.05) is told


def test_repetitions_that_are_all_the_same_leave_no_doubt_but_that_of_the_bound():
    terms = [Term([0.0] * 3, -1), Term([0.0] * 3, 1)]
    found = difference(terms, 0.005, slack=0.0002)
    assert (found.low, found.high, found.p) == (-0.0002, 0.0002, 1.0)
    terms = [Term([0.0] * 3, -1), Term([1.0] * 3, 1)]
    assert difference(terms, 0.005, slack=0.0004).p == 0.0
    assert difference(terms, 0.005, slack=0.999).p == 1.0


def test_a_spread_smaller_than_chance_allows_is_not_believed(stats):
    equal = [Term([0.01] * 3, -1, least_variance=1e-4), Term([0.02] * 3, 1, least_variance=2e-4)]
    found = difference(equal, 0.0)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 3.6) * math.sqrt(1e-4), rel=0.01)


def test_none_of_15000_still_allows_for_some(stats):
    assert zero_bound(15_000) == pytest.approx(stats.binomtest(0, 15_000).proportion_ci(0.95).high)
    assert zero_bound(0) == 1.0


def test_holm_stops_at_the_first_that_fails():
    assert holm([0.04, 0.001, 0.02]) == [True, True, True]
    assert holm([0.04, 0.001, 0.03]) == [
        False,
        True,
        False,
    ]  # 0.03 > 0.05 / 2, so 0.04 does not stand, either
    assert holm([]) == []


def test_the_repetitions_that_would_tell_do_tell(stats):
    """Of runs that spread as much, with a change as large as the one that was seen."""
    base, candidate = [1.0, 1.1, 1.2], [1.1, 1.2, 1.3]
    needed = needed_repetitions([Term(base, -1), Term(candidate, 1)], 0.05)
    for n, told in ((needed, True), (needed - 1, False)):
        half = stats.t.ppf(0.975, 2 * (n - 1)) * math.sqrt(2 * 0.01 / n)
        assert bool(half < 0.1 - 0.05) is told


def test_no_number_of_repetitions_tells_what_lies_on_the_threshold():
    assert needed_repetitions([Term([1.0, 1.5], -1), Term([1.25, 1.75], 1)], 0.25) is None
    assert needed_repetitions([Term([1.0, 9.0], -1), Term([1.2, 9.1], 1)], 0.149) is None


@pytest.mark.parametrize("n", [3, 5, pytest.param(10, marks=pytest.mark.nightly)])
def test_the_interval_covers_the_truth_as_often_as_it_says(n):
    """Skewed as latencies are: log-normal, whose logarithms are compared."""
    rng = np.random.default_rng(n)
    covered = 0
    for _ in range(1000):
        base, candidate = rng.normal(3, 0.05, n), rng.normal(3.1, 0.08, n)
        found = difference([Term(list(base), -1), Term(list(candidate), 1)], 0.0)
        covered += found.low <= 0.1 <= found.high
    assert 0.93 <= covered / 1000 <= 0.985
