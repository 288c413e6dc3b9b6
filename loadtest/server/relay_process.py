"""A relay between functions and server, as a process."""

import json
import subprocess
import sys
from contextlib import suppress

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server.relay import State


class RelayProcess:
    """A :mod:`~loadtest.server.relay` to ``server`` in a process of its own.

    ``arguments`` are what the module takes beside the address. Raises :class:`ServerUnavailable`.
    """

    module = "loadtest.server.relay"

    def __init__(self, server: Dsn, *arguments: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, server.host, str(server.port), *map(repr, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.port = int(self._answer() or 0)
        if not self.port:
            raise ServerUnavailable("the relay between functions and server did not start")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on port {self.port}>"

    def become(self, state: State) -> None:
        """Returns once ``state`` holds."""
        assert self._process.stdin is not None  # noqa: S101 (a pipe was asked for)
        with suppress(OSError):
            self._process.stdin.write(json.dumps(state._asdict()) + "\n")
            self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 (a pipe was asked for)
        line = self._process.stdout.readline()
        if not line:
            raise ServerUnavailable("the relay between functions and server has ended")
        return line.strip()

    def close(self) -> None:
        """Ends it, and all connections with it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what it was told last may not have reached it
                    stream.close()


class SleeperProcess(RelayProcess):
    """A database that sleeps, in front of ``server``: :mod:`loadtest.server.sleeper`.

    Raises :class:`ServerUnavailable`.
    """

    module = "loadtest.server.sleeper"

    def __init__(self, server: Dsn, pause_after_s: float, resume_s: float) -> None:
        super().__init__(server, pause_after_s, resume_s)

    def pauses(self) -> list[tuple[float, float | None]]:
        """When it slept, in seconds of ``time.monotonic()``; no end: it still does. It ends with that.

        Raises :class:`ServerUnavailable`.
        """
        assert self._process.stdin is not None  # noqa: S101 (a pipe was asked for)
        with suppress(OSError):
            self._process.stdin.close()
        return [(begin_s, end_s) for begin_s, end_s in json.loads(self._answer())]
