"""How fast the service lets a fleet grow and work. Pure: the time is an argument.

Source: AWS Lambda developer guide, "Lambda scaling behavior": 1,000 new environments per function and 10 s,
and ten requests a second for each concurrent execution that an account, or a function by reservation, may
have.
"""

SCALING_S = 10.0
REQUESTS_PER_S = 10


def share_of(total: int, worker: int, workers_count: int) -> int:
    """One worker's share of ``total``; the shares of all workers add up exactly.

    ``worker`` counts from 0 to below ``workers_count``; those at the front get what does not divide.
    """
    return total // workers_count + (worker < total % workers_count)


class Allowance:
    """``most`` of something in ``period_s`` seconds, refilled continuously up to that number."""

    __slots__ = ("_at_s", "_left", "_most", "_period_s")

    def __init__(self, most: float, period_s: float) -> None:
        self._most, self._period_s = most, period_s
        self._left = most
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether there is one more now."""
        if self._at_s is not None:
            self._left = min(self._most, self._left + (now_s - self._at_s) * self._most / self._period_s)
        self._at_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
