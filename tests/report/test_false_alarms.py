"""Verdicts on runs that were made alike are false alarms; there may be few."""

import pytest

from tests.report import equal_runs


@pytest.mark.parametrize("n", [3, 5])
def test_of_200_pairs_of_equal_runs_few_measures_get_a_verdict(n):
    for pool in equal_runs.POOLS:
        assert equal_runs.false_alarms(pool, n, 200) <= 0.05, pool


def test_a_change_of_a_fifth_is_found():
    for pool in equal_runs.POOLS:
        assert equal_runs.smallest_found(pool, "latency_ms.mean", 5, tries=40) <= 20, pool
