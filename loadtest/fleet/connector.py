"""``connect`` as a container's function sees it."""

from typing import Any, NamedTuple

from loadtest.fleet.book import Book
from loadtest.fleet.connection import Meter, MeteredConnection


class Route(NamedTuple):
    """The way to the server, the same for all containers of a fleet."""

    book: Book  # where each connection's life is written down
    rtt_s: float  # added to every round trip, in seconds
    arguments: dict[str, Any]  # PyMySQL's: server, account, TLS


class Connector:
    """PyMySQL's ``connect`` with the route filled in, and its container's own meter."""

    __slots__ = ("_route", "meter")

    def __init__(self, route: Route, meter: Meter) -> None:
        self._route = route
        self.meter = meter

    def __call__(self, **arguments: Any) -> MeteredConnection:
        """``arguments`` go over the route's. Raises PyMySQL's errors."""
        book, rtt_s, known = self._route
        return MeteredConnection(book, self.meter, rtt_s, **{**known, **arguments})
