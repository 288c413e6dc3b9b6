"""Waiting for what comes to pass, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout_s: float = 5.0, what: str = "") -> T:
    """The first true value of ``condition``. Raises AssertionError with the last one."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}; last: {value!r}"
        time.sleep(0.01)
    return value
