"""Counts of what one container's manager has done so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Since the manager was made. ``waited_s`` is in seconds."""

    connects_count: int = 0
    reuses_count: int = 0  # invocations that found their connection open
    refused_count: int = 0  # connects that failed
    waited_s: float = 0.0  # between tries to connect
    query_retries_count: int = 0
    closed_count: int = 0  # connections closed by the policy or by quit()
    expired_count: int = 0  # connections found dead before anything was sent on them
    lost_count: int = 0  # connections that broke while a statement ran, or at the end
    killed_count: int = 0  # other connections killed, by a policy such as Classic
    overhead_statements_count: int = 0  # sent by the manager itself
