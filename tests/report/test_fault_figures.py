"""What is computed of a fault, without any server."""

import numpy as np
import pytest

from loadtest.report.fault_figures import of_repetitions, recovery_s
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


def test_of_several_repetitions_the_worst_recovery_counts():
    def one(recovery, connects, **errors):
        return FaultFigures(fault="kill@3", recovery_s=recovery, connects_peak_per_s=connects, errors=errors)

    merged = of_repetitions([[one(1.0, 40, a=4)], [one(3.0, 90)], [one(2.0, 50, a=2, b=1)]])
    assert [(m.recovery_s, m.connects_peak_per_s, m.errors) for m in merged] == [(3.0, 90, {"a": 2, "b": 0})]
    assert of_repetitions([[one(1.0, 40)], [one(None, 40)]])[0].recovery_s is None
