"""What a Locust process may do with its tests, one after another."""

import pytest

from loadtest.fleet.lifecycle import IllegalMove, moved
from loadtest.swarm.phases import TRANSITIONS, Event, Phase


def after(*events):
    phase = Phase.IDLE
    for event in events:
        phase = moved(TRANSITIONS, phase, event, "a test")
    return phase


def test_a_single_process_begins_writes_its_last_rows_and_is_ready_for_the_next_test():
    assert after(Event.BEGIN, Event.CLOSE, Event.FINISH) is Phase.IDLE


def test_a_master_has_no_rows_of_its_own():
    assert after(Event.BEGIN, Event.FINISH) is Phase.IDLE


def test_a_worker_never_hears_that_a_test_is_over():
    assert after(Event.BEGIN, Event.CLOSE, Event.BEGIN) is Phase.RUNNING


@pytest.mark.parametrize(
    ("phase", "event"),
    [pair for phase in Phase for event in Event if (pair := (phase, event)) not in TRANSITIONS],
)
def test_an_illegal_move_raises(phase, event):
    with pytest.raises(IllegalMove, match=f"{event.name} in 'a test'"):
        moved(TRANSITIONS, phase, event, "a test")
