"""A clock that goes on while the container is frozen. A race of threads costs a reconnect at most."""

import time

# Where a virtual machine is stopped, its monotonic clock may stop as well, while the wall clock is set right
# at the thaw. A jump of the wall clock that was none is taken for a freeze, and costs a reconnect.
FREEZE_S = 0.5

_apart_s = time.time() - time.monotonic()
_frozen_s = 0.0


def now_s() -> float:
    """Seconds since some moment, freezes included."""
    global _apart_s, _frozen_s
    monotonic = time.monotonic()
    apart_s = time.time() - monotonic
    if apart_s > _apart_s + FREEZE_S:
        _frozen_s += apart_s - _apart_s
        _apart_s = apart_s
    elif apart_s < _apart_s - FREEZE_S:
        _apart_s = apart_s  # the wall clock was set back
    return monotonic + _frozen_s
