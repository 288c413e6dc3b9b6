"""A clock that goes on while the container is frozen.

The offset is one for all threads, without a lock: a race costs a reconnect at most.
"""

import time

# When a virtual machine is stopped, its monotonic clock may stop, too, while the wall clock is corrected at
# the thaw. So a jump of the wall clock counts as a freeze. If it was not one, it costs a reconnect.
FREEZE_S = 0.5

_apart_s = time.time() - time.monotonic()
_frozen_s = 0.0


def now_s() -> float:
    """Seconds since some fixed moment, freezes included."""
    global _apart_s, _frozen_s
    monotonic = time.monotonic()
    apart_s = time.time() - monotonic
    if apart_s > _apart_s + FREEZE_S:
        _frozen_s += apart_s - _apart_s
        _apart_s = apart_s
    elif apart_s < _apart_s - FREEZE_S:
        _apart_s = apart_s  # the wall clock was set back
    return monotonic + _frozen_s
