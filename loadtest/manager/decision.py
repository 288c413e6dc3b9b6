"""What a policy is told at the end of an invocation, and what it may decide. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Census:
    """What the server said about its connections at one moment."""

    used_count: int
    limit: int  # how many there may be
    oldest_s: float = 0.0  # the greatest TIME in its process list; 0 where only the pressure was asked for

    @property
    def pressure_ratio(self) -> float:
        """Connections in use divided by the limit; a limit of 0 counts as 1."""
        return self.used_count / max(1, self.limit)


@dataclass(slots=True)
class Rhythm:
    """How often this container is called and how long it works, both as running means in seconds.

    The newest value has half the weight: containers change their pace when the load does.
    """

    gap_mean_s: float  # from the end of one invocation to the start of the next
    invocations_count: int = 0
    busy_mean_s: float | None = None

    def called(self, gap_s: float | None) -> None:
        """A new invocation starts, ``gap_s`` seconds after the last one ended (None: the first)."""
        self.invocations_count += 1
        if gap_s is not None:
            self.gap_mean_s = (self.gap_mean_s + gap_s) / 2

    def worked(self, busy_s: float) -> None:
        """The invocation ends; its connection was in use for ``busy_s`` seconds."""
        self.busy_mean_s = busy_s if self.busy_mean_s is None else (self.busy_mean_s + busy_s) / 2


@dataclass(frozen=True, slots=True)
class Situation:
    """The end of an invocation, as the container sees it.

    ``census`` is the last one, ``census_age_s`` seconds and ``census_age_count`` invocations old; None
    when there has been none yet. ``is_fresh``: it was asked for at this very end, so asking again gains
    nothing. Times are in seconds.
    """

    rhythm: Rhythm
    lease_s: int = 0  # what the session has now; 0: no lease
    left_s: float | None = None  # until the invocation's deadline; None: it has none
    census: Census | None = None
    census_age_s: float = 0.0
    census_age_count: int = 0
    is_fresh: bool = False
    connect_s: float = 0.0  # how long the try took that opened this connection


# Decisions


@dataclass(frozen=True, slots=True)
class Keep:
    """The container freezes with its connection open. A ``lease_s`` is set on the session first."""

    lease_s: int | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """The container gives its connection back before it freezes."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill this account's connections that have slept for at least ``idle_s`` seconds, and keep our own.

    With ``close_if_none_died`` our own is closed if none of them could be killed.
    """

    idle_s: float
    close_if_none_died: bool


@dataclass(frozen=True, slots=True)
class AskPressure:
    """Ask how many connections are in use, cheaply and without a privilege, then decide again.

    The limits are asked for again when they are ``limit_cache_s`` seconds old.
    """

    limit_cache_s: float


@dataclass(frozen=True, slots=True)
class AskProcessList:
    """Scan the process list, as serverless-mysql 2.1.0 does, then decide again.

    A census that is at most ``used_cache_s`` seconds old will do, a limit one of ``limit_cache_s``.
    """

    used_cache_s: float
    limit_cache_s: float


Decision = Keep | Close | Kill
Ask = AskPressure | AskProcessList
