"""``python -m loadtest.server.sleeper HOST PORT PAUSE_AFTER_S RESUME_S``: a database that sleeps.

Prints the port on 127.0.0.1 on which it listens, and relays to the server at HOST and PORT. While nobody has
been connected for PAUSE_AFTER_S seconds, it sleeps: whoever connects then wakes it, and waits at the door
for RESUME_S seconds, as do all who come meanwhile. So does Aurora Serverless v2 whose smallest capacity is 0
(Aurora user guide, "Scaling to zero ACUs with automatic pause and resume").

When its input ends, it prints its pauses as JSON, a list of [from, to] in seconds of ``time.monotonic()``,
and ends. The last may go on: its end is null.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress

from loadtest.open_files import allow_open_files
from loadtest.server.relay import Link, Relay, answer


class Sleeper(Relay):
    """A relay to ``host`` and ``port`` that sleeps, as the module says."""

    def __init__(self, host: str, port: int, pause_after_s: float, resume_s: float) -> None:
        super().__init__(host, port)
        self._pause_after_s, self._resume_s = pause_after_s, resume_s
        self._open_count = 0  # connections that the server has
        self._free_since_s = time.monotonic()
        self._awake_at_s = self._free_since_s
        self._pauses: list[tuple[float, float]] = []

    def __repr__(self) -> str:
        return f"<Sleeper, {self._open_count} connections, {len(self._pauses)} pauses>"

    def _slept_from_s(self, now_s: float) -> float | None:
        """Since when nobody has been connected for long enough; None while it is awake."""
        if self._open_count or now_s < self._awake_at_s:
            return None
        from_s = self._free_since_s + self._pause_after_s
        return from_s if from_s <= now_s else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a relay does, from ``reader`` and to ``writer``, once the database is awake."""
        now_s = time.monotonic()
        from_s = self._slept_from_s(now_s)
        if from_s is not None:
            self._pauses.append((from_s, now_s))
            self._awake_at_s = self._free_since_s = now_s + self._resume_s
        await asyncio.sleep(max(0.0, self._awake_at_s - now_s))
        await super().serve(reader, writer)

    async def _answers(self, link: Link, reader: asyncio.StreamReader) -> None:
        """Until the server has ended the connection, whether or not its client is still there."""
        self._open_count += 1
        try:
            await super()._answers(link, reader)
        finally:
            self._open_count -= 1
            self._free_since_s = time.monotonic()

    def pauses(self) -> list[tuple[float, float | None]]:
        """All of them; the last has no end if it still sleeps."""
        from_s = self._slept_from_s(time.monotonic())
        return [*self._pauses, *([(from_s, None)] if from_s is not None else [])]


async def main(host: str, port: int, pause_after_s: float, resume_s: float) -> None:
    """Relays to the server at ``host`` and ``port`` until standard input ends."""
    allow_open_files()
    sleeper = Sleeper(host, port, pause_after_s, resume_s)
    server = await asyncio.start_server(sleeper.serve, "127.0.0.1", 0, backlog=1000)
    answer(str(server.sockets[0].getsockname()[1]))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    await orders.read()
    answer(json.dumps(sleeper.pauses()))
    os._exit(0)  # connections that are left are not waited for


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
