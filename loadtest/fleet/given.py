"""What a container's function is given: a way to connect, and the service's context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadtest.fleet.clock import Clock
from loadtest.fleet.wire import Meter, MeteredConnection

if TYPE_CHECKING:
    from loadtest.fleet.fleet import Fleet


class Connector:
    """``connect`` as a container's function sees it: the server filled in, the meter its own."""

    __slots__ = ("_fleet", "meter")

    def __init__(self, fleet: Fleet, meter: Meter) -> None:
        self._fleet = fleet
        self.meter = meter

    def __call__(self, **arguments: Any) -> MeteredConnection:
        fleet = self._fleet
        return MeteredConnection(
            fleet.book, self.meter, fleet.settings.rtt_ms / 1000, **{**fleet.arguments, **arguments}
        )


class Context:
    """What AWS Lambda hands to a handler beside the event, as far as a function needs it here."""

    __slots__ = ("_clock", "_deadline_s", "aws_request_id")

    def __init__(self, clock: Clock, deadline_s: float, request_id: str) -> None:
        self._clock = clock
        self._deadline_s = deadline_s
        self.aws_request_id = request_id

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline_s - self._clock.now()) * 1000))
