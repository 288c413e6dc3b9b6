"""One clock for all processes of a run: seconds since its ``t0``."""

import time


class Clock:
    """``t0_monotonic_s``: ``time.monotonic()`` at t0. All processes of a machine share that clock."""

    __slots__ = ("t0_monotonic_s",)

    def __init__(self, t0_monotonic_s: float) -> None:
        self.t0_monotonic_s = t0_monotonic_s

    def now(self) -> float:
        return time.monotonic() - self.t0_monotonic_s
