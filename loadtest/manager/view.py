"""What one container knows of the server's pressure, and since when."""

from typing import Any

from loadtest.manager import census as asking
from loadtest.manager.decision import Ask, AskPressure, AskProcessList, Census, Rhythm, Situation

FULL = Census(1, 1)


class View:
    """Made when it is first needed: most containers of a burst never ask the server.

    ``now_s`` is :func:`~loadtest.manager.clock.now_s`'s, ``invocations_count`` the container's.
    """

    __slots__ = ("_asks_by_statement", "_at_s", "_census", "_invocations_count", "_limits", "_limits_at_s")

    def __init__(self) -> None:
        self._asks_by_statement = False  # its server, or a proxy before it, knows no cheaper way
        self._census: Census | None = None
        self._at_s = 0.0
        self._invocations_count = 0
        self._limits: tuple[int, int] | None = None
        self._limits_at_s = 0.0

    @property
    def has_seen(self) -> bool:
        """Whether it is worth keeping."""
        return self._census is not None

    def refused(self, now_s: float, invocations_count: int) -> None:
        """A refused connect shows that the server is full, at no extra cost."""
        self.saw(FULL, now_s, invocations_count)

    def situation(
        self,
        now_s: float,
        rhythm: Rhythm,
        lease_s: int,
        left_s: float | None,
        is_fresh: bool,
        connect_s: float,
    ) -> Situation:
        """For the policy; the arguments are :class:`Situation`'s.

        ``is_fresh``: :meth:`ask` was called for this very end.
        """
        age_count = rhythm.invocations_count - self._invocations_count
        age_s = now_s - self._at_s
        return Situation(rhythm, lease_s, left_s, self._census, age_s, age_count, is_fresh, connect_s)

    def ask(self, question: Ask, connection: Any, now_s: float, invocations_count: int) -> int:
        """Asks the server the policy's ``question`` on ``connection``; returns how many statements that took.

        Raises the library's errors.
        """
        if isinstance(question, AskProcessList):
            return self._scan(question, connection, now_s, invocations_count)
        return self._ask_pressure(question, connection, now_s, invocations_count)

    def _ask_pressure(
        self, question: AskPressure, connection: Any, now_s: float, invocations_count: int
    ) -> int:
        """The tighter of the server's and the account's limit counts."""
        statements_count = 1
        limits = self._limits
        if limits is None or self.has_old_limits(question.limit_cache_s, now_s):
            limits = asking.limits(connection)
            self.learned(limits, now_s)
            statements_count += 1
        server_limit, own_limit = limits
        used_count = None if self._asks_by_statement else asking.used_count(connection)
        if used_count is None:
            self._asks_by_statement = True
            used_count = asking.connected_count(connection)
        census = Census(used_count, server_limit)
        if own_limit:
            # A limit of the account counts that account's connections and nobody else's.
            statements_count += 1
            own = Census(asking.own_count(connection), own_limit)
            census = max(census, own, key=lambda seen: seen.pressure_ratio)
        self.saw(census, now_s, invocations_count)
        return statements_count

    def _scan(self, question: AskProcessList, connection: Any, now_s: float, invocations_count: int) -> int:
        """The published module's two statements, each with its cache."""
        statements_count = 0
        if self._limits is None or now_s - self._limits_at_s > question.limit_cache_s:
            self._limits, self._limits_at_s = (asking.classic_limit(connection), 0), now_s
            statements_count += 1
        if self._census is None or now_s - self._at_s > question.used_cache_s:
            census = asking.classic_census(connection, self._limits[0])
            self.saw(census, now_s, invocations_count)
            statements_count += 1
        return statements_count

    # What the server said

    def has_old_limits(self, limit_cache_s: float, now_s: float) -> bool:
        """Whether the limits are not known, or known for ``limit_cache_s`` seconds or more."""
        return self._limits is None or now_s - self._limits_at_s >= limit_cache_s

    def learned(self, limits: tuple[int, int], now_s: float) -> None:
        """``limits`` are the server's and the account's own (0: it has none), in connections."""
        self._limits, self._limits_at_s = limits, now_s

    def saw(self, census: Census, now_s: float, invocations_count: int) -> None:
        """This is what :meth:`situation` tells the policy from now on."""
        self._census, self._at_s, self._invocations_count = census, now_s, invocations_count
