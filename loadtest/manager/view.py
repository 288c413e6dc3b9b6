"""What one container knows of the server's pressure, and since when."""

from typing import Any

from loadtest.manager import census as asking
from loadtest.manager.policy import Census, Classic, Managed, look_is_due

FULL = Census(1, 1)


class View:
    """Made at the first look: most containers of a burst never take one. Times are monotonic seconds."""

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

    def refused(self, now: float, invocations_count: int) -> None:
        """A refusal for want of connections says for nothing that the server is full."""
        self._saw(FULL, now, invocations_count)

    def fresh(self, now: float, invocations_count: int, policy: Managed) -> Census | None:
        """What was seen last, unless it is too old to decide by."""
        census = self._census
        if census is None:
            return None
        passed = invocations_count - self._invocations_count
        return None if look_is_due(census, now - self._at_s, passed, policy) else census

    def look(
        self, connection: Any, now: float, invocations_count: int, policy: Managed
    ) -> tuple[Census, int]:
        """Asks the server; also how many statements that took. The tighter of both limits counts."""
        statements_count = 1
        if self._limits is None or now - self._limits_at_s >= policy.limit_cache_s:
            self._limits, self._limits_at_s = asking.limits(connection), now
            statements_count += 1
        server_limit, own_limit = self._limits
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
        self._saw(census, now, invocations_count)
        return census, statements_count

    def look_classic(self, connection: Any, now: float, policy: Classic) -> tuple[Census, int]:
        """The published module's look, with its two caches."""
        statements_count = 0
        if self._limits is None or now - self._limits_at_s > policy.limit_cache_s:
            self._limits, self._limits_at_s = (asking.classic_limit_count(connection), 0), now
            statements_count += 1
        if self._census is None or now - self._at_s > policy.used_cache_s:
            self._saw(asking.classic_census(connection, self._limits[0]), now, 0)
            statements_count += 1
        return self._census, statements_count  # type: ignore[return-value]

    def _saw(self, census: Census, now: float, invocations_count: int) -> None:
        self._census, self._at_s, self._invocations_count = census, now, invocations_count
