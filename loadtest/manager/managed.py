"""Our default policy: a lease on the server, and a container that knows its own rhythm. Pure."""

import math
from dataclasses import dataclass

from loadtest.manager.behind_proxy import BehindProxy
from loadtest.manager.checks import LONGEST_LEASE_S, in_order, number, whole
from loadtest.manager.decision import Ask, AskPressure, Census, Close, Decision, Keep, Situation
from loadtest.manager.policy import Policy

# Calls at random times come within three mean gaps in 95 of 100 cases (1 - exp(-3)).
LEASE_GAPS_COUNT = 3.0
# Before so many invocations a mean gap says more of what was assumed than of the container, and a longer
# lease costs a round trip and holds for longer what may never be used again.
SETTLED_COUNT = 4
ROUTERS_SIGN = "-router"  # as in "9.7.4-router"; with TLS passed through it greets as the server does
NOT_NEGATIVE = (
    "gap_s", "unproven_gap_s", "ask_every_s", "ask_again_s", "limit_cache_s", "margin_s", "slow_connect_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Managed(Policy):
    """The server itself drops what nobody has used for its lease, zombies and idle containers alike.

    That takes no KILL, no privilege and no scan. A new container closes: most containers of a burst are
    not called again, and others lack what they hold. Later it keeps its connection

    * up to ``calm_ratio`` when it expects to be called again within a lease;
    * up to ``tight_ratio`` when it is called again within ``gap_s`` on average;
    * beyond, when it uses its connection at least half of the time: giving that back would cost the
      server more than it gains;
    * above ``calm_ratio``, when it expects to be called again within a lease, if its connect took longer
      than ``slow_connect_s``: where CPU is short, each connection that is closed costs another connect,
      which makes CPU even shorter. A new container, too, if it was refused before.

    One short gap proves little: in a burst each new container is called again at once, as the one
    that was used last, and then never again, as newer ones bury it. So the mean starts with
    ``unproven_gap_s``, and only several short gaps in a row bring it down.

    Up to ``idle_ratio`` the lease is lengthened, up to ``long_lease_s``, for containers that are
    called seldom: that ratio limits what they and their zombies can hold of the server.

    Raises :class:`ValueError` for a parameter out of its range, with the reason. A ``long_lease_s`` below
    ``lease_s`` lengthens nothing.
    """

    lease_s: int = 1  # MySQL's wait_timeout: whole seconds, 1 at least
    long_lease_s: int = 30
    gap_s: float = 0.25
    unproven_gap_s: float = 1.0  # what the mean gap starts with
    idle_ratio: float = 0.25
    calm_ratio: float = 0.5
    tight_ratio: float = 0.8
    slow_connect_s: float = 0.03  # more than a connect takes while CPU is to be had
    ask_every_s: float = 1.0  # the server is not asked again sooner
    ask_every_count: int = 20  # nor, while it is calm, within as many invocations
    ask_again_s: float = 30.0  # but after this time it is
    ask_timeout_s: float = 1.0
    limit_cache_s: float = 60.0
    expiry_margin_s: float = 0.05  # a lease with less than this left counts as over
    max_retries: int | None = None  # None: until the deadline
    patience_s: float | None = None  # how long to try for a connection; None: until the deadline
    margin_s: float = 0.2  # kept from the deadline to answer the caller

    def __post_init__(self) -> None:
        whole(self, "lease_s", 1, LONGEST_LEASE_S)
        whole(self, "long_lease_s", 1, LONGEST_LEASE_S)
        for name in ("idle_ratio", "calm_ratio", "tight_ratio"):
            number(self, name, 0, 1)
        in_order(self, "idle_ratio", "calm_ratio", "tight_ratio")
        for name in NOT_NEGATIVE:
            number(self, name, 0)
        number(self, "ask_timeout_s", 0.001)
        whole(self, "ask_every_count", 1)
        # With a margin as long as the lease every statement would connect anew.
        number(self, "expiry_margin_s", -math.inf, self.lease_s / 2)
        if self.patience_s is not None:
            number(self, "patience_s", 0)
        if self.max_retries is not None:
            whole(self, "max_retries", 0)

    def for_server(self, version: str) -> Policy:
        """Behind MySQL Router, which greets with a ``version`` of its own, the one for proxies."""
        is_ours = type(self).__module__ == __name__  # a policy of somebody's own decides by itself
        if not is_ours or not version.endswith(ROUTERS_SIGN):
            return self
        return BehindProxy(self.lease_s, self.max_retries, self.patience_s, self.margin_s)

    def decide(self, situation: Situation) -> Decision | Ask:
        """By the rhythm of the container and the pressure on the server."""
        rhythm, census = situation.rhythm, self._current(situation)
        if rhythm.invocations_count < 2:
            # It asks nothing, but may have been refused before it got its connection.
            is_kept = census is not None and self._is_dear(situation, census)
            return _with_at_most(self.lease_s, situation.lease_s) if is_kept else Close()
        if rhythm.gap_mean_s >= max(self.lease_s, self.long_lease_s):
            return Close()  # the lease would be over before the connection is used again
        if census is None:
            has_time = situation.left_s is None or situation.left_s >= self.margin_s
            return AskPressure(self.limit_cache_s) if has_time else Close()
        return self._by_pressure(situation, census)

    def _current(self, situation: Situation) -> Census | None:
        """What is known of the server, unless it is too old to decide by."""
        census = situation.census
        if census is None or situation.is_fresh:
            return census
        is_old = self.is_outdated(census, situation.census_age_s, situation.census_age_count)
        return None if is_old else census

    def is_outdated(self, census: Census, age_s: float, age_count: int) -> bool:
        """Whether a census is too old to decide by, ``age_s`` seconds and ``age_count`` invocations later.

        While the server is calm an old census does no harm: what is kept because of it was opened
        when less than half of the server was in use.
        """
        if age_s < self.ask_every_s:
            return False
        if census.pressure_ratio > self.calm_ratio:
            return True
        return age_count >= self.ask_every_count or age_s >= self.ask_again_s

    def _is_dear(self, situation: Situation, census: Census) -> bool:
        """Whether connecting took so long that the server, or this side, seems to be short of CPU."""
        return census.pressure_ratio > self.calm_ratio and situation.connect_s > self.slow_connect_s

    def _by_pressure(self, situation: Situation, census: Census) -> Keep | Close:
        rhythm, lease_s, pressure_ratio = situation.rhythm, situation.lease_s, census.pressure_ratio
        gap_s = rhythm.gap_mean_s
        if self._is_dear(situation, census):
            is_kept = gap_s < self.lease_s
        elif pressure_ratio > self.tight_ratio:
            is_kept = gap_s <= (rhythm.busy_mean_s or 0.0)
        elif pressure_ratio > self.calm_ratio:
            is_kept = gap_s < self.gap_s
        elif pressure_ratio > self.idle_ratio or rhythm.invocations_count < SETTLED_COUNT:
            is_kept = gap_s < self.lease_s
        else:
            return self._on_an_idle_server(gap_s, lease_s)
        return _with_at_most(self.lease_s, lease_s) if is_kept else Close()

    def _on_an_idle_server(self, gap_s: float, lease_s: int) -> Keep:
        if LEASE_GAPS_COUNT * gap_s <= lease_s:
            return _with_at_most(self.long_lease_s, lease_s)
        # Twice what is needed now, so that the next longer gap does not need a new one.
        wanted_s = min(self.long_lease_s, math.ceil(2 * LEASE_GAPS_COUNT * gap_s))
        return Keep(wanted_s) if wanted_s > lease_s else Keep()


def _with_at_most(wanted_s: int, lease_s: int) -> Keep:
    return Keep() if lease_s <= wanted_s else Keep(wanted_s)
