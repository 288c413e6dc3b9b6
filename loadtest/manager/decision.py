"""What a policy may decide at the end of an invocation. Pure data."""

from dataclasses import dataclass


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
