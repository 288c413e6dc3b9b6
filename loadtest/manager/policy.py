"""Keep the connection, close it, or kill others? Pure: what was seen comes in, a decision goes out."""

from dataclasses import dataclass


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
    """The container freezes with its connection open."""


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
    manage: bool = True


@dataclass(frozen=True, slots=True)
class Managed:
    """Our default: a lease on the server, and a container that knows its own rhythm.

    The server itself drops what nobody uses for ``lease_s``, zombies and idle containers alike,
    without a KILL, a privilege or a scan. A new container closes: most containers of a burst are
    not called again, and what they hold others lack. Later it keeps its connection while the server
    is calm, and one that is called again within ``gap_s`` on average until the server is tight.
    """

    lease_s: int = 1  # MySQL's wait_timeout: whole seconds, 1 at least
    gap_s: float = 0.25
    calm_ratio: float = 0.5  # pressure up to which anybody keeps
    tight_ratio: float = 0.8  # pressure up to which those that are called often keep
    look_every_s: float = 1.0
    limit_cache_s: float = 60.0
    patience_s: float = 5.0  # how long to try for a connection when no deadline is known
    margin_s: float = 0.2  # kept from the deadline, to answer the caller in


@dataclass(slots=True)
class Rhythm:
    """How often this container is called. Gaps are from the end of one invocation to the next."""

    invocations_count: int = 0
    gap_mean_s: float | None = None

    def called(self, gap_s: float | None) -> None:
        """A new invocation, ``gap_s`` after the last one ended (None: the first)."""
        self.invocations_count += 1
        if gap_s is not None:
            # Half the weight on the newest gap: containers change their pace when the load does.
            self.gap_mean_s = gap_s if self.gap_mean_s is None else (self.gap_mean_s + gap_s) / 2


def decide_classic(census: Census, policy: Classic) -> Decision:
    """What serverless-mysql 2.1.0's ``end()`` does with this census."""
    if census.used_count / max(1, census.limit_count) > policy.utilisation_ratio:
        idle_s = min(max(census.oldest_s, policy.zombie_min_s), policy.zombie_max_s)
        return Kill(idle_s, close_if_none_died=True) if idle_s <= census.oldest_s else Close()
    if census.oldest_s > policy.zombie_max_s:
        return Kill(policy.zombie_max_s, close_if_none_died=False)
    return Keep()


def decide_managed(rhythm: Rhythm, census: Census | None, policy: Managed) -> Keep | Close | Look:
    """``census`` None: the server was not asked lately."""
    if rhythm.invocations_count <= 1 or rhythm.gap_mean_s is None:
        return Close()
    if rhythm.gap_mean_s >= policy.lease_s:
        return Close()  # it would expire before it is used again
    if census is None:
        return Look()
    bound = policy.tight_ratio if rhythm.gap_mean_s < policy.gap_s else policy.calm_ratio
    return Keep() if census.pressure_ratio <= bound else Close()
