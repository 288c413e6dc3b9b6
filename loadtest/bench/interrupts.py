"""SIGINT and SIGTERM: the first signal ends the work, another one cuts short what is waited for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loadtest.errors import Interrupted

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """``hurry`` is set by a second signal: from then on, cleaning up waits no longer than it must."""

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

    @property
    def came(self) -> bool:
        """Whether a signal came."""
        return self._caught is not None

    def check(self) -> None:
        """Raises :class:`Interrupted` if a signal came. An exception from the handler itself is lost if it
        hits a destructor or a callback."""
        if self._caught is not None:
            raise Interrupted(f"interrupted by {signal.Signals(self._caught).name}")

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """For steps that must not be interrupted halfway, such as starting a process and storing its id."""
        before = self._caught
        self._deferred_count += 1
        try:
            yield
        finally:
            self._deferred_count -= 1
        if before is None and not self._deferred_count:
            self.check()


def handled() -> Interrupts:
    """Handles both signals until they are :func:`ignored`, even if SIGINT was inherited as ignored, as in
    background jobs of scripts and CI."""
    interrupts = Interrupts()
    for number in NUMBERS:
        signal.signal(number, interrupts._handle)
    return interrupts


def ignored() -> None:
    """For the very end, where a late signal must change neither the last message nor the exit code. While it
    exits, Python restores the default handler, unless the signal is ignored."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
