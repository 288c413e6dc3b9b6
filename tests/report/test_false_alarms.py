"""Verdicts on runs that were made alike are false alarms; there may be few."""

import random

import pytest

from loadtest.report.comparisons.comparison import Rules
from tests.report import equal_runs

PAIRS_COUNT = 60  # docs/compare.md has 200 of them: python -m tests.report.equal_runs


@pytest.mark.parametrize("n", [pytest.param(3, marks=pytest.mark.nightly), 5])
def test_of_pairs_of_equal_runs_few_measures_get_a_verdict(n):
    for pool in equal_runs.POOLS:
        of_measures, of_comparisons = equal_runs.false_alarms(pool, n, PAIRS_COUNT)
        assert of_measures <= 0.05, pool
        assert of_comparisons <= 0.05, pool


@pytest.mark.parametrize("n", [pytest.param(3, marks=pytest.mark.nightly), 5])
def test_nor_do_they_where_any_change_matters(n):
    """Then interval and correction alone have to hold. Pairs of one pool share repetitions, so the share
    is of all pools together."""
    found = [equal_runs.false_alarms(pool, n, PAIRS_COUNT, Rules(0.0, 0.0)) for pool in equal_runs.POOLS]
    assert sum(of_comparisons for _, of_comparisons in found) / len(found) <= 0.075


def test_a_change_of_a_fifth_is_found():
    for pool in equal_runs.POOLS:
        rng = random.Random(20)
        told = [equal_runs.verdicts(pool, 5, rng, 0.2)["latency_ms.mean"] for _ in range(40)]
        assert told.count("worse") >= 32, pool
