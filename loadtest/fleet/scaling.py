"""How fast the service lets a fleet grow. Pure: the time is an argument."""


def share_of(total: int, worker: int, workers_count: int) -> int:
    """One worker's share of ``total``; the shares of all workers add up exactly.

    ``worker`` counts from 0 to below ``workers_count``; those at the front get what does not divide.
    """
    return total // workers_count + (worker < total % workers_count)


class Scaling:
    """An allowance of ``per_10s`` new containers in 10 s, refilled continuously up to that number.

    Source: AWS Lambda developer guide, "Lambda scaling behavior": 1,000 per function and 10 s.
    """

    __slots__ = ("_allowance", "_at_s", "_per_10s")

    def __init__(self, per_10s: float) -> None:
        self._per_10s = per_10s
        self._allowance = per_10s
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more container may be started now."""
        if self._at_s is not None:
            grown = self._allowance + (now_s - self._at_s) * self._per_10s / 10.0
            self._allowance = min(self._per_10s, grown)
        self._at_s = now_s
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True
