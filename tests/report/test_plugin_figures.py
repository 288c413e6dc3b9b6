"""What a team's own test reads from a run: fields by name, and a reason where there is none."""

import copy
from pathlib import Path

import pytest

from loadtest.pytest_plugin import Figures
from loadtest.results.summary import PartFigures

from .summaries import arm


def figures(median):
    return Figures("managed", median, Path("run"), ["samples.csv is missing"])


def test_fields_are_attributes_at_any_depth():
    found = figures(arm(100, {"timeout": 2}, mean=30.0).median)
    assert (found.error_ratio, found.latency_ms.p99, found.errors) == (0.02, 30.0, {"timeout": 2})
    assert repr(found) == "<managed: 100 arrivals, 2 of timeout, p99 30.0 ms; run>"
    assert repr(found.kills) == "<managed kills {'zombie_count': 0, 'idle_count': 0, 'busy_count': 0}>"
    assert copy.copy(found).error_ratio == 0.02


def test_a_part_of_a_mixed_fleet_has_its_own():
    median = arm(100).median
    median.parts = {"cached": PartFigures(error_ratio=0.5)}
    assert figures(median).parts.cached.error_ratio == 0.5


def test_only_a_mixed_fleet_has_parts_and_nobody_has_what_is_no_figure():
    found = figures(arm(100).median)
    for name in ("parts", "eror_ratio"):
        with pytest.raises(AttributeError, match=f"managed has no '{name}'; there are valid, reasons"):
            getattr(found, name)


def test_an_unknown_figure_fails_the_test_with_the_reason():
    with pytest.raises(pytest.fail.Exception, match=r"zombies.reclaim_p50_s is not known: samples.csv is"):
        _ = figures(arm(0).median).zombies.reclaim_p50_s
