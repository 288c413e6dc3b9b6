"""Closed model: one Locust user is one container."""

import loadtest.webui  # noqa: F401 - its tab
from loadtest.fleet.users import Container  # noqa: F401
