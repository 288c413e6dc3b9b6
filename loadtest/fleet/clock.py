"""One clock for all processes of a run: seconds since its ``t0``."""

import time


class Clock:
    """``t0_monotonic``: ``time.monotonic()`` at t0. All processes of a machine share that clock."""

    __slots__ = ("t0_monotonic",)

    def __init__(self, t0_monotonic: float) -> None:
        self.t0_monotonic = t0_monotonic

    def now(self) -> float:
        return time.monotonic() - self.t0_monotonic
