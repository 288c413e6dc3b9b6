"""The open model with a recorder that forgets: what the loop's lag is without recording."""

from loadtest.fleet.recorder import Recorder
from loadtest.swarm.users import Client  # noqa: F401


def forget(self):
    for rows in self._rows.values():
        rows.take()


Recorder.flush = forget
