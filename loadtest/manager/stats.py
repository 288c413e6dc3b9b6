"""What one container's manager has done so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Counts since the manager was made. ``waited_s`` is in seconds."""

    connects_count: int = 0
    reuses_count: int = 0  # invocations that found their connection open
    refused_count: int = 0  # connects that failed
    waited_s: float = 0.0  # between tries to connect
    query_retries_count: int = 0
    closed_count: int = 0  # given back, by the policy or by quit()
    expired_count: int = 0  # found to be over before anything was sent
    lost_count: int = 0  # broke under a statement, or were dropped with one under way
    killed_count: int = 0  # other connections that this one killed; `classic` only
    overhead_statements_count: int = 0  # sent by the manager for itself
