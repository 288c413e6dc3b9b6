"""Closed model: one Locust user is one container."""

import loadtest.webui.install  # noqa: F401 - the tab
from loadtest.swarm.users import ContainerUser  # noqa: F401
