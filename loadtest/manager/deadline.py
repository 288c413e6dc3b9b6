"""How long a function has, and what of it a statement gets. Pure: the time is an argument."""

from typing import Any

from loadtest.manager.errors import QueryTimeout
from loadtest.manager.policy import Classic, Managed


def deadline_of(context: Any, now: float) -> float | None:
    """On the clock of ``now``, in seconds; None when there is none.

    ``context`` is Lambda's, a number of seconds, or None. Raises :class:`TypeError` for anything else.
    """
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    if remaining_ms is not None:
        return now + float(remaining_ms()) / 1000.0
    if context is None:
        return None
    if isinstance(context, bool) or not isinstance(context, int | float):
        kind = type(context).__name__
        raise TypeError(f"a context with get_remaining_time_in_millis(), seconds or None, not {kind}")
    return now + context


def allowed_s(policy: Managed | Classic, left_s: float | None, timeout_s: float | None) -> float | None:
    """What a read or a write of a statement may take: a function that is cut could not tell anybody.

    Raises :class:`QueryTimeout` when there is no time left at all.
    """
    if left_s is None or not isinstance(policy, Managed):
        return timeout_s
    if left_s <= 0:
        raise QueryTimeout(2013, "the function has no time left: the statement was not sent")
    left_s -= min(policy.margin_s, left_s / 2)
    return left_s if timeout_s is None else min(timeout_s, left_s)
