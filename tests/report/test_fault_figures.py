"""What is computed of a fault, without any server."""

import numpy as np
import pandas as pd
import pytest

from loadtest.report.fault_figures import figures_of, of_repetitions, recovery_s
from loadtest.report.fault_spans import spans
from loadtest.report.frames import Frames
from loadtest.results.rows import ROW_TYPES
from loadtest.results.summary import FaultFigures

DUE_S = np.arange(0, 20, 0.01)  # 100 a second


def good_but(*spans):
    good = np.ones(len(DUE_S), dtype=bool)
    for from_s, to_s in spans:
        good[(from_s <= DUE_S) & (to_s > DUE_S)] = False
    return good


@pytest.mark.parametrize(
    ("bad", "recovered_s"),
    [
        ([], 0.0),
        ([(3.0, 5.0)], 0.0),  # bad while the fault was on
        ([(3.0, 7.0)], 2.0),
        ([(3.0, 5.5), (11.0, 12.0)], 7.0),  # what is good for a while has not recovered yet
        ([(5.0, 5.01), (5.5, 5.51)], 0.1),  # one of a hundred may be bad, not two
        ([(3.0, 20.0)], None),
        ([(18.5, 18.6)], None),  # whether it recovered from that was not seen
    ],
)
def test_an_arm_has_recovered_once_every_later_second_is_good(bad, recovered_s):
    found = recovery_s(DUE_S, good_but(*bad), 5.0, 19.0)
    assert found == (pytest.approx(recovered_s, abs=0.11) if recovered_s is not None else None)


def test_a_recovery_that_nobody_could_see_is_unknown():
    assert recovery_s(DUE_S, good_but(), 5.0, 5.5) is None


def frames(faults, invocations=(), **meta):
    columns = ("due_s", "started_s", "finished_s", "cold_start_s", "connects_count", "error")
    rows = pd.DataFrame(list(invocations), columns=list(columns))
    empty = pd.DataFrame()
    known = {"start_s": 100.0, "deadline_s": 120.0, "ended_s": 121.0, "faults": faults, **meta}
    tables = dict.fromkeys((*ROW_TYPES, "samples", "generator"), empty)
    return Frames(**{**tables, "invocations": rows}, meta=known)


def fault(name, began_s, ended_s):
    return {"fault": name, "began_s": began_s, "ended_s": ended_s}


@pytest.mark.parametrize(
    ("faults", "meta", "found"),
    [
        ([fault("a", 105.0, 107.0)], {}, [("a", 5.0, 7.0, 20.0)]),
        ([fault("b", 110.0, 111.0), fault("a", 105.0, 107.0)], {}, [("a", 5, 7, 10), ("b", 10, 11, 20)]),
        ([{"fault": "a", "began_s": 105.0}], {}, [("a, not undone", 5.0, 20.0, 20.0)]),
        ([fault("a", 105.0, 107.0)], {"cut_off": True, "ended_s": 110.0}, [("a", 5.0, 7.0, 10.0)]),
        ([fault("late", 125.0, 126.0)], {}, []),
        ("kill", {}, []),
        ([3, None, {}, fault("a", "x", 1), fault("b", -float("inf"), 1), fault("c", 10**400, 1)], {}, []),
        ([fault("a", 105.0, 10**400)], {}, [("a, not undone", 5.0, 20.0, 20.0)]),
        ([fault("a", 105.0, 107.0)], {"start_s": None}, []),
    ],
)
def test_faults_are_read_from_whatever_is_in_the_file(faults, meta, found):
    assert spans(frames(faults, **meta)) == found


def test_an_arrival_that_was_under_way_at_the_next_fault_and_failed_is_that_faults():
    rows = [(100 + due, 100 + due, 100 + due + 0.01, 0.0, 1, "") for due in np.arange(5.0, 20.0, 0.02)]
    rows.append((109.98, 109.98, 112.0, 0.0, 1, "2013 CR_SERVER_LOST"))
    first, second = figures_of(frames([fault("a", 105.0, 106.0), fault("b", 110.0, 111.0)], rows), 1000.0)
    assert (first.errors, first.recovery_s) == ({}, 0.0)
    assert second.errors == {"2013 CR_SERVER_LOST": 1}


def test_an_arrival_that_a_fault_let_hang_is_that_faults_however_late_it_fails():
    rows = [(105.5, 105.5, 115.5, 0.0, 1, "timeout")]
    first, second = figures_of(frames([fault("a", 105.0, 106.0), fault("b", 110.0, 111.0)], rows), 1000.0)
    assert (first.errors, second.errors) == ({"timeout": 1}, {})


def test_an_arm_that_waits_for_the_next_fault_to_fail_has_not_recovered():
    rows = [(100 + due, 100 + due, 115.0, 0.0, 1, "timeout") for due in np.arange(5.0, 10.0, 0.02)]
    first, second = figures_of(frames([fault("a", 105.0, 106.0), fault("b", 110.0, 111.0)], rows), 1000.0)
    assert first.recovery_s is None
    assert first.errors["timeout"] == pytest.approx(200, abs=2)
    assert second.errors["timeout"] == pytest.approx(50, abs=2)


def test_connects_of_an_invocation_are_spread_over_it():
    rows = [(105.0, 105.0, 115.0, 0.0, 20, ""), (112.0, 112.0, 112.5, 0.0, 7, "")]
    (found,) = figures_of(frames([fault("a", 105.0, 106.0)], rows), 1000.0)
    assert found.connects_peak_per_s == 9


def test_of_several_repetitions_the_worst_recovery_counts():
    def one(recovery, connects, **errors):
        return FaultFigures(fault="kill@3", recovery_s=recovery, connects_peak_per_s=connects, errors=errors)

    merged = of_repetitions([[one(1.0, 40, a=4)], [one(3.0, 90)], [one(2.0, 50, a=2, b=1)]])
    assert [(m.recovery_s, m.connects_peak_per_s, m.errors) for m in merged] == [(3.0, 90, {"a": 2, "b": 0})]
    assert of_repetitions([[one(1.0, 40)], [one(None, 40)]])[0].recovery_s is None
