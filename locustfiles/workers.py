"""Either model: a worker of `loadtest worker`, whose master says which."""

import loadtest.webui.install  # noqa: F401 - the tab
from loadtest.swarm.users import Client, ContainerUser  # noqa: F401
