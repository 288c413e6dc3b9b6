"""The lives of connections and tests as tables: what is not in them raises, and changes nothing."""

import pytest

from loadtest.fleet import book
from loadtest.fleet.lifecycle import IllegalMove


class Opened:
    """What a life needs to know of its connection."""

    def fileno(self):
        return 7


def life():
    return book.Life(Opened(), container=3, server_id=4711, opened_s=1.5)


def test_a_connection_becomes_a_zombie_and_is_dropped_by_the_server():
    left = life()
    left.move(book.Event.REAP)
    assert left.state is book.State.ZOMBIE
    left.move(book.Event.DROP)
    assert left.state is book.State.GONE


def test_a_connection_is_dropped_before_its_container_knows():
    dropped = life()
    dropped.move(book.Event.DROP)
    assert dropped.state is book.State.DROPPED
    dropped.move(book.Event.CLOSE)
    assert dropped.state is book.State.GONE


@pytest.mark.parametrize(
    ("state", "event"),
    [
        pair
        for state in book.State
        for event in book.Event
        if (pair := (state, event)) not in book.TRANSITIONS
    ],
)
def test_an_illegal_move_of_a_connection_raises_and_changes_nothing(state, event):
    moved = life()
    moved.state = state
    with pytest.raises(IllegalMove, match=f"{event.name} in <Life 4711"):
        moved.move(event)
    assert moved.state is state


def test_nobody_can_do_anything_with_a_connection_that_is_gone():
    assert not any(state is book.State.GONE for state, _ in book.TRANSITIONS)


def test_a_life_prints_its_numbers():
    assert repr(life()) == "<Life 4711 of container 3: OPEN, open>"
