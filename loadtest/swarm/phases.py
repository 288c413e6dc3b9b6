"""The life of a test as a transition table. Pure."""

from enum import auto

from loadtest.fleet.lifecycle import Quick


class Phase(Quick):
    """Of one Locust process."""

    IDLE = auto()  # no test
    RUNNING = auto()
    CLOSED = auto()  # this process has written its last rows


class Event(Quick):
    BEGIN = auto()
    CLOSE = auto()
    FINISH = auto()  # not on a worker, which does not know when a test is over


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.IDLE, Event.BEGIN): Phase.RUNNING,
    (Phase.RUNNING, Event.CLOSE): Phase.CLOSED,
    (Phase.RUNNING, Event.FINISH): Phase.IDLE,  # it could not even begin, or it is a master, without rows
    (Phase.CLOSED, Event.FINISH): Phase.IDLE,
    (Phase.CLOSED, Event.BEGIN): Phase.RUNNING,  # of a worker
}
