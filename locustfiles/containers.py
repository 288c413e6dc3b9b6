"""Closed model: one Locust user is one container."""

from loadtest.fleet.users import Container  # noqa: F401
