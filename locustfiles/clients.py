"""Open model: one Locust user is one client that sends requests at its own rate."""

from loadtest.fleet.users import Client  # noqa: F401
