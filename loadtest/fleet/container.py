"""One container's life as a transition table. Pure."""

from enum import auto
from typing import Any

from loadtest.fleet.lifecycle import Quick, moved


class State(Quick):
    COLD = auto()  # coming up
    IDLE = auto()  # frozen: no code of it runs
    BUSY = auto()  # serves one invocation
    GONE = auto()  # reaped


class Event(Quick):
    UP = auto()
    INVOKE = auto()
    ANSWER = auto()
    REAP = auto()


class Reap(Quick):
    """What becomes of the connections of a container that is reaped."""

    ZOMBIE = auto()  # nobody closes them, and they stay on the server
    CLOSED = auto()
    TOLD = auto()  # the function is told before, and may close them; what it leaves is a zombie


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.COLD, Event.UP): State.IDLE,
    (State.IDLE, Event.INVOKE): State.BUSY,
    (State.BUSY, Event.ANSWER): State.IDLE,
    (State.COLD, Event.REAP): State.GONE,
    (State.IDLE, Event.REAP): State.GONE,
    (State.BUSY, Event.REAP): State.GONE,
}


class Container:
    """One execution environment of a function. ``function`` holds its module-level state.

    ``number`` is unique in a repetition, ``part`` the name of its function in a mixed fleet; ``meter`` adds
    up what its connections do in an invocation.
    """

    __slots__ = ("frozen_at_s", "function", "invocations_count", "meter", "number", "part", "stale", "state")

    def __init__(self, number: int, part: str, meter: Any = None) -> None:
        self.number = number
        self.part = part
        self.state = State.COLD
        self.function: Any = None
        self.meter = meter
        self.invocations_count = 0
        self.frozen_at_s = 0.0
        self.stale = False  # of a deployment that has been replaced: reaped as soon as it is idle

    def move(self, event: Event) -> None:
        """Raises :class:`~loadtest.fleet.lifecycle.IllegalMove`."""
        self.state = moved(TRANSITIONS, self.state, event, self)

    def __repr__(self) -> str:
        return f"<Container {self.number} {self.state.name}, {self.invocations_count} invocations>"
