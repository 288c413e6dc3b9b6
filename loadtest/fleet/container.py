"""One container's life as a transition table. Pure."""

from enum import Enum, auto
from typing import Any


class _Quick(Enum):
    """Hashed by identity: Enum's own hash is Python code, and each invocation looks up two moves."""

    __hash__ = object.__hash__


class State(_Quick):
    COLD = auto()  # coming up
    IDLE = auto()  # frozen: no code of it runs
    BUSY = auto()  # serves one invocation
    GONE = auto()  # reaped


class Event(_Quick):
    UP = auto()
    INVOKE = auto()
    ANSWER = auto()
    REAP = auto()


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.COLD, Event.UP): State.IDLE,
    (State.IDLE, Event.INVOKE): State.BUSY,
    (State.BUSY, Event.ANSWER): State.IDLE,
    (State.COLD, Event.REAP): State.GONE,
    (State.IDLE, Event.REAP): State.GONE,
    (State.BUSY, Event.REAP): State.GONE,
}


class IllegalMove(Exception):
    """A container was asked for what its state does not allow: a defect of the harness."""


class Container:
    """One execution environment of a function. ``function`` holds its module-level state."""

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
        """Raises :class:`IllegalMove`."""
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalMove(f"{event.name} in {self!r}") from None

    def __repr__(self) -> str:
        return f"<Container {self.number} {self.state.name}, {self.invocations_count} invocations>"
