import pytest

from loadtest.fleet.container import TRANSITIONS, Container, Event, State
from loadtest.fleet.lifecycle import IllegalMove


def test_a_container_is_born_cold_serves_and_is_reaped():
    container = Container(7, "managed")
    for event in (Event.UP, Event.INVOKE, Event.ANSWER, Event.INVOKE, Event.ANSWER, Event.REAP):
        container.move(event)
    assert container.state is State.GONE


@pytest.mark.parametrize(
    ("state", "event"),
    [(state, event) for state in State for event in Event if (state, event) not in TRANSITIONS],
)
def test_an_illegal_move_raises_and_changes_nothing(state, event):
    container = Container(7, "managed")
    container.state = state
    with pytest.raises(IllegalMove, match=event.name):
        container.move(event)
    assert container.state is state


def test_a_container_serves_one_invocation_at_a_time():
    assert (State.BUSY, Event.INVOKE) not in TRANSITIONS


def test_a_container_prints_its_state():
    assert repr(Container(7, "managed")) == "<Container 7 COLD, 0 invocations>"
