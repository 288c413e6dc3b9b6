"""The Locust users that a locustfile imports.

A user only joins the worker's generator when Locust spawns it, and leaves when Locust stops it. The generator
makes its arrivals, so that they wait neither for answers nor for Locust.
"""

from locust import User, constant, task  # first: it patches for gevent

# isort: split
# Here, before a worker says that it is ready: at the start of a test they would hold its loop up, on a busy
# machine for longer than the 3 s that Locust's master gives it for a heartbeat.
import numpy  # noqa: F401
import pyarrow.parquet  # noqa: F401

import loadtest.swarm.options  # noqa: F401 - our options
from loadtest.swarm.listeners import known_run_of, run_of


class Passive(User):  # type: ignore[misc]
    """A user that joins and leaves; the generator does the rest."""

    abstract = True
    host = "mysql"  # Locust's form wants one; the server comes from LOADTEST_DSN
    wait_time = constant(3600)
    model = "open"
    _index = -1

    @task  # type: ignore[untyped-decorator]
    def rest(self) -> None:
        """Does nothing: Locust stops a waiting user at once, but not a sleeping task."""

    def on_start(self) -> None:
        run = run_of(self.environment)
        if run.generator is not None:
            self._index = run.numbers.take()
            run.generator.join(self._index)

    def on_stop(self) -> None:
        run = known_run_of(self.environment)
        if run is not None and self._index >= 0:
            run.numbers.give_back(self._index)
            if run.generator is not None:
                run.generator.leave(self._index)


class Client(Passive):
    """Open model: a client that sends requests at its own rate."""


class ContainerUser(Passive):
    """Closed model: one container after another."""

    model = "closed"
