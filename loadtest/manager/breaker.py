"""A circuit breaker: whoever has failed several times in a row does not try for a while.

A container that meets a database out of reach waits out its patience in every invocation, which is billed,
and knocks at the door that the others need. With a breaker it fails at once, until a single invocation has
found that there is a connection again. Source: M. Nygard, "Release It!", 2007, "Circuit Breaker".
"""

from collections.abc import Callable
from types import TracebackType

import pymysql

from loadtest.manager import checks
from loadtest.manager.clock import now_s
from loadtest.manager.errors import NoConnection

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"
UNREACHABLE = 2003  # CR_CONN_HOST_ERROR: whoever handles that one handles this, too


class CircuitOpen(NoConnection):
    """Nothing was tried, because what was tried before has failed too often."""


class CircuitBreaker:
    """Opens after failures in a row, lets one trial through after a while, and closes when that succeeds.

    As ``ConnectionManager(breaker=CircuitBreaker())`` it counts connects that were given up. By hand it goes
    around any calls, and counts PyMySQL's errors, or what ``counts`` says::

        with breaker:
            rows = db.query("SELECT 1")

    In such a block its end counts, and not the connects of a manager with the same breaker.

    It knows one container: each finds out for itself. One breaker may serve several managers of a container.
    """

    def __init__(
        self,
        failures_count: int = 2,
        open_s: float = 5.0,
        counts: Callable[[BaseException], bool] = lambda error: isinstance(error, pymysql.MySQLError),
    ) -> None:
        """Raises :class:`ValueError` for a value that cannot be.

        Args:
            failures_count: failures in a row after which it opens.
            open_s: how long it stays open before it lets a trial through, in seconds.
            counts: whether an error, raised in ``with breaker:``, counts as a failure.
        """
        self.failures_count, self.open_s, self._counts = failures_count, open_s, counts
        checks.whole(self, "failures_count", 1)
        checks.number(self, "open_s", 0)
        self._failed_count = 0
        self._opened_at: float | None = None
        self._trial_at: float | None = None  # a trial is under way since then
        self._depth = 0  # blocks of `with` that are open: what is in them is theirs to judge
        self.opened_count = 0  # how often it opened
        self.refused_count = 0  # calls that it turned away

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.state}, {self._failed_count} failures in a row>"

    @property
    def state(self) -> str:
        """``closed``, ``open``, or ``half-open``: then one call may try."""
        if self._opened_at is None:
            return CLOSED
        return HALF_OPEN if now_s() - self._opened_at >= self.open_s else OPEN

    def check(self) -> None:
        """To be called before each try. Raises :class:`CircuitOpen` if there shall be none."""
        if self._opened_at is None or self._depth:
            return
        at_s = now_s()
        # A trial that was stopped in the middle has not said how it ended: after a while another one may try.
        began_s = self._opened_at if self._trial_at is None else self._trial_at
        if at_s - began_s >= self.open_s:
            self._trial_at = at_s
            return
        self.refused_count += 1
        left_s = began_s + self.open_s - at_s
        raise CircuitOpen(
            UNREACHABLE,
            f"not tried, since {self._failed_count} tries in a row have failed; again in {left_s:.1f} s",
        )

    def succeeded(self) -> None:
        """To be called after a try that succeeded: it closes."""
        if not self._depth:
            self._failed_count, self._opened_at, self._trial_at = 0, None, None

    def failed(self) -> None:
        """To be called after a try that failed: it opens after several in a row, or after a trial."""
        if self._depth:
            return
        self._failed_count += 1
        if self._trial_at is not None or self._failed_count >= self.failures_count:
            self.opened_count += 1
            self._opened_at, self._trial_at = now_s(), None

    def __enter__(self) -> "CircuitBreaker":
        self.check()
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        if error is None:
            self.succeeded()
        elif self._counts(error) and not isinstance(error, CircuitOpen):
            self.failed()
        else:
            self._trial_at = None  # it says nothing of the database: let the next one try
