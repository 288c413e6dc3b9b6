"""How many invocations at once SQS's pollers make. Pure: the time is an argument."""

FIRST_COUNT = 5
PER_MINUTE = 300.0
MOST_COUNT = 1_250


class Pollers:
    """Begins with five batches at once, and adds up to 300 a minute while messages wait for one.

    Source: AWS Lambda developer guide, "Configuring scaling behavior for SQS event source mappings". Here
    ``first`` and ``per_minute`` are one worker's shares, and ``most`` of what the event source or the
    function allows. It begins anew once the queue is empty and nothing is under way.
    """

    __slots__ = ("_at_s", "_count", "_first", "_most", "_per_minute", "_was_behind")

    def __init__(self, first: float, per_minute: float, most: int) -> None:
        self._first = min(max(1.0, first), most)
        self._per_minute = per_minute
        self._most = most
        self._count = self._first
        self._at_s: float | None = None
        self._was_behind = False  # all were busy, and messages waited

    def may_invoke(self, now_s: float, busy_count: int, waiting_count: int) -> bool:
        """Whether one more batch may be handed over, with ``busy_count`` under way; to be asked often."""
        if not waiting_count and not busy_count:
            self._count = self._first
        # Also where one of them has just become free: until then all were busy.
        elif self._at_s is not None and (self._was_behind or self._is_behind(busy_count, waiting_count)):
            grown = self._count + (now_s - self._at_s) * self._per_minute / 60
            self._count = min(float(self._most), grown)
        self._at_s = now_s
        self._was_behind = self._is_behind(busy_count, waiting_count)
        return waiting_count > 0 and not self._was_behind

    def _is_behind(self, busy_count: int, waiting_count: int) -> bool:
        return waiting_count > 0 and busy_count >= int(self._count)
