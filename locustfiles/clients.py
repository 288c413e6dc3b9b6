"""Open model: one Locust user is one client that sends requests at its own rate."""

import loadtest.webui.install  # noqa: F401 - the tab
from loadtest.swarm.users import Client  # noqa: F401
