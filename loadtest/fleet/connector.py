"""``connect`` as a container's function sees it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from loadtest.fleet.book import Book
from loadtest.fleet.connection import Meter, MeteredConnection


class Route(NamedTuple):
    """The way to the server, the same for all containers of a fleet."""

    book: Book  # where each connection's life is written down
    rtt_s: float  # added to every round trip, in seconds
    arguments: dict[str, Any]  # PyMySQL's: server, account, TLS
    secret: Callable[[], str] | None = None  # the account's password, where it may change
    shares: bool = False  # a proxy that shares the server's connections is on it


class Connector:
    """PyMySQL's ``connect`` with the route filled in, and its container's own meter.

    The password is the one that was current when the container started.
    """

    __slots__ = ("_own", "_route", "meter")

    def __init__(self, route: Route, meter: Meter) -> None:
        self._route = route
        self._own = {} if route.secret is None else {"password": route.secret()}
        self.meter = meter

    @property
    def credentials(self) -> Callable[[Exception | None], dict[str, str]] | None:
        """For a manager's ``credentials``: asks for the secret again once the server has denied it.

        None in a run without faults.
        """
        return None if self._route.secret is None else self._credentials

    def _credentials(self, refused: Exception | None) -> dict[str, str]:
        if refused is not None and self._route.secret is not None:
            self._own = {"password": self._route.secret()}
        return self._own

    def __call__(self, **arguments: Any) -> MeteredConnection:
        """``arguments`` go over the route's. Raises PyMySQL's errors."""
        book, rtt_s, known, _, shares = self._route
        return MeteredConnection(book, self.meter, rtt_s, shares, **{**known, **self._own, **arguments})
