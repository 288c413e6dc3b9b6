"""Where a bench's master waits for the workers that people start elsewhere, and for how long."""

import socket
from typing import NamedTuple

from loadtest.bench.addresses import check_port, is_open
from loadtest.errors import UsageError
from loadtest.server.choice import ServerChoice

PORT = 5557  # Locust's own
PATIENCE_S = 60.0


class Meeting(NamedTuple):
    """The master listens on ``host`` and ``port``, and gives up after ``patience_s``."""

    host: str = "127.0.0.1"
    port: int = PORT
    patience_s: float = PATIENCE_S

    def check(self, choice: ServerChoice) -> None:
        """Raises :class:`UsageError` where workers could reach neither the master nor the server."""
        check_port(self.host, self.port, "--master-bind-port or --master-bind-host")
        if choice.dsn is None and is_open(self.host):
            raise UsageError(
                f"--master-bind-host {self.host} is for workers on other machines, and they cannot reach a "
                "server that is started here, on 127.0.0.1: name one with --server mysql://…"
            )

    def command(self) -> str:
        """The command that starts a worker for this master."""
        where = socket.gethostname() if self.host in ("", "*", "0.0.0.0", "::") else self.host  # noqa: S104
        port = "" if self.port == PORT else f" --master-port {self.port}"
        return f"loadtest worker --master-host {where}{port}"
