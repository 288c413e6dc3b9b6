"""Waiting for what comes to pass, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Between two looks. What takes long is looked at less often, since looking costs CPU.
FIRST_S, SLOWEST_S = 0.01, 0.2


def wait_until(condition: Callable[[], T], timeout_s: float = 60.0, what: str = "") -> T:
    """The first true value of ``condition``. Raises AssertionError with the last one."""
    deadline, pause_s = time.monotonic() + timeout_s, FIRST_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}; last: {value!r}"
        time.sleep(pause_s)
        pause_s = min(SLOWEST_S, 1.2 * pause_s)
    return value
