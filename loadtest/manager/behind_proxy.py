"""The policy behind a proxy that shares the server's connections among its clients. Pure."""

from dataclasses import dataclass

from loadtest.manager.checks import LONGEST_LEASE_S, number, whole
from loadtest.manager.decision import Ask, Decision, Keep, Situation
from loadtest.manager.policy import Policy


@dataclass(frozen=True, slots=True)
class BehindProxy(Policy):
    """Keeps the connection, whatever the pressure: for RDS Proxy, ProxySQL, MySQL Router with its sharing.

    A client that sleeps there holds no connection of the server, so there is nothing to give back, and no
    zombie to drop: a lease would only cost a connect for each pause that is longer. Who waits for a
    connection of the server waits in the proxy. Behind one that gives each client a connection of its own,
    such as HAProxy, :class:`~loadtest.manager.managed.Managed` is right.

    ``lease_s`` is for a proxy that may turn out not to share: the server then drops what sleeps, as it does
    without one. Whether it has is told from the socket alone, since nobody's clock here says so.

    Raises :class:`ValueError` for a parameter out of its range, with the reason.
    """

    lease_s: int | None = None  # the session's wait_timeout in whole seconds; None: the server's
    max_retries: int | None = None  # None: until the deadline
    patience_s: float | None = None  # how long to try for a connection; None: until the deadline
    margin_s: float = 0.2  # kept from the deadline to answer the caller

    def __post_init__(self) -> None:
        number(self, "margin_s", 0)
        if self.lease_s is not None:
            whole(self, "lease_s", 1, LONGEST_LEASE_S)
        if self.patience_s is not None:
            number(self, "patience_s", 0)
        if self.max_retries is not None:
            whole(self, "max_retries", 0)

    def decide(self, situation: Situation) -> Decision | Ask:
        """Keep, in every ``situation``."""
        del situation
        return Keep()

    def is_expired(self, idle_s: float, lease_s: int) -> bool:
        """Never by the clock, however long the session has slept."""
        del idle_s, lease_s
        return False
