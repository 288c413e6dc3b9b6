"""SIGINT and SIGTERM, handled by ourselves: the first ends the work, more of them only the waiting."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loadtest.errors import Interrupted

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """``hurry`` is set by a second signal; what is being cleaned up then waits no longer than it must."""

    def __init__(self) -> None:
        self.hurry = False
        self._caught: int | None = None
        self._deferred_count = 0

    def _handle(self, number: int, _frame: Any) -> None:
        if self._caught is not None:
            self.hurry = True
            return
        self._caught = number
        if not self._deferred_count:
            self.check()

    def check(self) -> None:
        """Raises :class:`Interrupted` once a signal came: what the handler raises is lost where it hits
        a destructor or a callback."""
        if self._caught is not None:
            raise Interrupted(f"interrupted by {signal.Signals(self._caught).name}")

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """For steps that must not be cut in half, such as starting a process and knowing its id."""
        before = self._caught
        self._deferred_count += 1
        try:
            yield
        finally:
            self._deferred_count -= 1
        if before is None and not self._deferred_count:
            self.check()


def handled() -> Interrupts:
    """For the rest of this process, also where SIGINT was inherited as ignored, as in background jobs
    of scripts and CI, until they are :func:`ignored`."""
    interrupts = Interrupts()
    for number in NUMBERS:
        signal.signal(number, interrupts._handle)
    return interrupts


def ignored() -> None:
    """At the very end: a late signal must cut off neither the last words nor the exit code. Python
    itself puts back the deadly handler while it ends, unless it finds a signal ignored."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
