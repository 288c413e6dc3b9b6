"""Keep the connection, close it, or kill others? Pure: what was seen comes in, a decision goes out."""

import math
from dataclasses import dataclass

from loadtest.manager.checks import in_order, number, whole

LONGEST_LEASE_S = 31_536_000  # what MySQL and MariaDB take as wait_timeout


@dataclass(frozen=True, slots=True)
class Census:
    """What the server said about its connections."""

    used_count: int
    limit_count: int
    oldest_s: float = 0.0  # the greatest TIME of its process list; only `classic` asks for it

    @property
    def pressure_ratio(self) -> float:
        return self.used_count / max(1, self.limit_count)


@dataclass(frozen=True, slots=True)
class Keep:
    """The container freezes with its connection open; with ``lease_s`` that lease is set first."""

    lease_s: int | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """The container gives its connection back before it freezes."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill this account's connections that have slept for at least ``idle_s``."""

    idle_s: float
    close_if_none_died: bool


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the server first, then decide again."""


Decision = Keep | Close | Kill


@dataclass(frozen=True, slots=True)
class Classic:
    """The published algorithm of serverless-mysql 2.1.0, its flaws included. Seconds and ratios.

    It counts the rows of the whole process list, whosever they are, and takes the greatest TIME of
    them as the age of the oldest connection: on MySQL 8.0 and later that is the event scheduler's,
    which is the server's uptime, so younger zombies are never killed there.
    """

    utilisation_ratio: float = 0.8
    zombie_min_s: float = 3.0
    zombie_max_s: float = 900.0
    limit_cache_s: float = 15.0
    used_cache_s: float = 0.0
    max_retries: int = 50

    def __post_init__(self) -> None:
        """Raises :class:`ValueError`. A least above the greatest is the published module's to take."""
        number(self, "utilisation_ratio", 0, 1)
        for name in ("zombie_min_s", "zombie_max_s", "limit_cache_s", "used_cache_s"):
            number(self, name, 0)
        whole(self, "max_retries", 0)


NOT_NEGATIVE = (
    "gap_s", "unproven_gap_s", "look_every_s", "look_again_s", "limit_cache_s", "patience_s", "margin_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Managed:
    """Our default: a lease on the server, and a container that knows its own rhythm.

    The server itself drops what nobody uses for its lease, zombies and idle containers alike,
    without a KILL, a privilege or a scan. A new container closes: most containers of a burst are
    not called again, and what they hold others lack. Later it keeps its connection

    * up to ``calm_ratio`` when it expects to be called again within a lease;
    * up to ``tight_ratio`` when it is called again within ``gap_s`` on average;
    * beyond, when it uses its connection at least half of the time: giving that back would cost the
      server more than it gains.

    One short gap proves little: in a burst each new container is called again at once, as the one
    that was used last, and then never more, as newer ones bury it. So the mean begins with
    ``unproven_gap_s``, and only gaps in a row bring it down.

    Up to ``idle_ratio`` the lease is lengthened, up to ``long_lease_s``, for containers that are
    called seldom: what they and their zombies can hold of the server is bounded by that ratio.
    """

    lease_s: int = 1  # MySQL's wait_timeout: whole seconds, 1 at least
    long_lease_s: int = 30
    gap_s: float = 0.25
    unproven_gap_s: float = 1.0  # what the mean gap begins with
    idle_ratio: float = 0.25
    calm_ratio: float = 0.5
    tight_ratio: float = 0.8
    look_every_s: float = 1.0  # a look at the server is not repeated sooner
    look_every_count: int = 20  # nor, while the server is calm, within as many invocations
    look_again_s: float = 30.0  # but then it is
    look_timeout_s: float = 1.0
    limit_cache_s: float = 60.0
    expiry_margin_s: float = 0.05  # a lease with less left than this counts as over
    max_retries: int | None = None  # None: until the deadline
    patience_s: float = 5.0  # how long to try for a connection when no deadline is known
    margin_s: float = 0.2  # kept from the deadline, to answer the caller in

    def __post_init__(self) -> None:
        """Raises :class:`ValueError`. A ``long_lease_s`` below ``lease_s`` lengthens nothing."""
        whole(self, "lease_s", 1, LONGEST_LEASE_S)
        whole(self, "long_lease_s", 1, LONGEST_LEASE_S)
        for name in ("idle_ratio", "calm_ratio", "tight_ratio"):
            number(self, name, 0, 1)
        in_order(self, "idle_ratio", "calm_ratio", "tight_ratio")
        for name in NOT_NEGATIVE:
            number(self, name, 0)
        number(self, "look_timeout_s", 0.001)
        whole(self, "look_every_count", 1)
        # A margin as long as the lease would make every statement connect anew.
        number(self, "expiry_margin_s", -math.inf, self.lease_s / 2)
        if self.max_retries is not None:
            whole(self, "max_retries", 0)


@dataclass(slots=True)
class Rhythm:
    """How often this container is called, and for how long it works, both as running means.

    Half the weight is on the newest: containers change their pace when the load does.
    """

    gap_mean_s: float  # from the end of an invocation to the beginning of the next
    invocations_count: int = 0
    busy_mean_s: float | None = None

    def called(self, gap_s: float | None) -> None:
        """A new invocation, ``gap_s`` after the last one ended (None: the first)."""
        self.invocations_count += 1
        if gap_s is not None:
            self.gap_mean_s = (self.gap_mean_s + gap_s) / 2

    def worked(self, busy_s: float) -> None:
        """The invocation ends after ``busy_s``."""
        self.busy_mean_s = busy_s if self.busy_mean_s is None else (self.busy_mean_s + busy_s) / 2


def decide_classic(census: Census, policy: Classic) -> Decision:
    """What serverless-mysql 2.1.0's ``end()`` does with this census."""
    if census.used_count / max(1, census.limit_count) > policy.utilisation_ratio:
        idle_s = min(max(census.oldest_s, policy.zombie_min_s), policy.zombie_max_s)
        return Kill(idle_s, close_if_none_died=True) if idle_s <= census.oldest_s else Close()
    if census.oldest_s > policy.zombie_max_s:
        return Kill(policy.zombie_max_s, close_if_none_died=False)
    return Keep()


def decide_managed(
    rhythm: Rhythm, census: Census | None, policy: Managed, lease_s: int
) -> Keep | Close | Look:
    """``census`` None: the server was not asked lately. ``lease_s`` is what the session has now."""
    gap_s = rhythm.gap_mean_s
    if rhythm.invocations_count < 2:
        return Close()
    if gap_s >= max(policy.lease_s, policy.long_lease_s):
        return Close()  # it would expire before it is used again
    if census is None:
        return Look()
    pressure = census.pressure_ratio
    if pressure > policy.tight_ratio:
        return _kept(policy.lease_s, lease_s) if gap_s <= (rhythm.busy_mean_s or 0.0) else Close()
    if pressure > policy.calm_ratio:
        return _kept(policy.lease_s, lease_s) if gap_s < policy.gap_s else Close()
    if pressure > policy.idle_ratio or rhythm.invocations_count < SETTLED_COUNT:
        return _kept(policy.lease_s, lease_s) if gap_s < policy.lease_s else Close()
    if LEASE_GAPS * gap_s > lease_s:
        # Twice what is needed now, so that it need not be set again at the next longer gap.
        wanted_s = min(policy.long_lease_s, math.ceil(2 * LEASE_GAPS * gap_s))
        return Keep(wanted_s) if wanted_s > lease_s else Keep()
    return _kept(policy.long_lease_s, lease_s)


# Calls at random times come within three mean gaps in 95 of 100 cases (1 - exp(-3)).
LEASE_GAPS = 3.0
# Invocations before a mean gap says more of the container than of what it was assumed to be: a longer
# lease costs a round trip, and holds longer what may never be used again.
SETTLED_COUNT = 4


def _kept(wanted_s: int, lease_s: int) -> Keep:
    return Keep() if lease_s <= wanted_s else Keep(wanted_s)


def look_is_due(census: Census, age_s: float, invocations_count: int, policy: Managed) -> bool:
    """Whether what was seen ``age_s`` and ``invocations_count`` invocations ago is too old to decide by.

    While the server is calm an old look does no harm: what is kept on the strength of it was open
    when less than half of the server was in use.
    """
    if age_s < policy.look_every_s:
        return False
    if census.pressure_ratio > policy.calm_ratio:
        return True
    return invocations_count >= policy.look_every_count or age_s >= policy.look_again_s
