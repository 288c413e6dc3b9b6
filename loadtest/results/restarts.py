"""Whether a server was started again between two looks at it."""

ROUNDED_S = 3.0  # uptimes are whole seconds, and an answer may be late by two


def was_restarted(at_s: float, uptime_s: float, later_s: float, later_uptime_s: float) -> bool:
    """Whether the server that was up for ``uptime_s`` at ``at_s`` is another one at ``later_s``.

    Its counters would not tell: MariaDB's statements become fewer for a moment while connections end, whose
    share is no longer among the living and not yet among the dead.
    """
    started_later_s = (later_s - later_uptime_s) - (at_s - uptime_s)
    return later_uptime_s < uptime_s or started_later_s > ROUNDED_S
