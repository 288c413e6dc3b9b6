"""A worker's watch over its master: without one, its load goes on unseen, and no other master gets it.

Locust itself waits for a minute.
"""

from collections.abc import Callable
from typing import Any

import gevent

BEAT_S = 1.0  # Locust's
SILENT_BEATS_COUNT = 10


def watch_master(environment: Any, lost: Callable[[], None]) -> None:
    """Calls ``lost`` once the master was silent for ten beats of ours: a stall of ours is not its silence."""
    silent_count = 0

    @environment.events.heartbeat_received.add_listener  # type: ignore[untyped-decorator]
    def heard(**_: Any) -> None:
        nonlocal silent_count
        silent_count = 0

    def watch() -> None:
        nonlocal silent_count
        while silent_count < SILENT_BEATS_COUNT:
            gevent.sleep(BEAT_S)
            silent_count += 1
        lost()

    gevent.spawn(watch)
