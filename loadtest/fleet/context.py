"""The context that a handler gets with each event."""

from loadtest.fleet.clock import Clock


class Context:
    """What AWS Lambda hands to a handler, as far as a function needs it here.

    Source: AWS Lambda developer guide, "Using the Lambda context object to retrieve Python function
    information".
    """

    __slots__ = ("_clock", "_deadline_s", "aws_request_id")

    def __init__(self, clock: Clock, deadline_s: float, request_id: str) -> None:
        """``deadline_s``: when the function is stopped, on the run's clock.

        ``request_id`` tells the invocation from all others of a repetition.
        """
        self._clock = clock
        self._deadline_s = deadline_s
        self.aws_request_id = request_id

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is stopped, at least 0."""
        return max(0, int((self._deadline_s - self._clock.now()) * 1000))
