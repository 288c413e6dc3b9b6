"""``python -m loadtest.server.relay HOST PORT``: a way to the server on which things go wrong when told to.

Prints the port on 127.0.0.1 on which it listens. Reads one JSON object per line, the :class:`State` from then
on, and answers each with an empty line once it holds. Ends with its input.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import NamedTuple

from loadtest.open_files import allow_open_files

CHUNK_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close sends RST


class State(NamedTuple):
    """What happens to traffic; as it is by default, nothing does.

    ``reset`` and ``half_close`` are done once to the connections that there are, when the state begins.
    """

    delay_s: float = 0.0  # each answer comes later
    cut_s: float = 0.0  # each answer comes in two halves, so many seconds apart
    bytes_per_s: float = 0.0  # of all answers together; 0: no limit
    hole: bool = False  # nothing gets through; a connection that loses something so stays dead
    refuse: bool = False  # new connections are reset
    reset: bool = False
    half_close: bool = False  # functions see the end of their connections, the server does not
    port: int = 0  # of 127.0.0.1, to which new connections lead; 0: of the server as at the beginning


class Link:
    """A function's connection, of which we write to ``ours``, and ``theirs``, ours to the server.

    ``dead``: nobody hears anything more of it.
    """

    def __init__(self, ours: asyncio.StreamWriter, theirs: asyncio.StreamWriter) -> None:
        self.ours, self.theirs = ours, theirs
        self.dead = False
        self.half_closed = False

    def abort(self) -> None:
        """Ends both sides with a reset."""
        for side in (self.ours, self.theirs):
            reset(side)


class Relay:
    """Everything that goes between the functions and the server at ``host`` and ``port``."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._state = State()
        self._links: set[Link] = set()
        self._free_at_s = 0.0  # when the next answer may go, with a limited bandwidth
        self._changed = asyncio.Event()  # ends what is waited for because of the state before

    def __repr__(self) -> str:
        return f"<Relay to {self._host}:{self._port}, {len(self._links)} connections, {self._state}>"

    def become(self, state: State) -> None:
        """``state`` holds from now on, and nobody waits any longer because of the one before."""
        self._state, self._free_at_s = state, 0.0
        self._changed.set()
        self._changed = asyncio.Event()
        for link in list(self._links):
            if state.reset:
                link.abort()
            elif state.half_close and not link.half_closed:
                link.half_closed = True
                with suppress(OSError, RuntimeError):
                    link.ours.write_eof()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a function, from its ``reader`` and to its ``writer``, until both sides ended."""
        if self._state.refuse:
            reset(writer)
            return
        if self._state.hole:
            await self._swallow(reader, writer)
            return
        try:
            port = self._state.port
            where = ("127.0.0.1", port) if port else (self._host, self._port)
            answers, theirs = await asyncio.open_connection(*where)
        except OSError:
            reset(writer)
            return
        theirs.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(writer, theirs)
        self._links.add(link)
        try:
            await asyncio.gather(self._requests(link, reader), self._answers(link, answers))
        except (OSError, RuntimeError):  # a side that was ended while its answer waited
            if not (self._loses(link) or link.half_closed):
                link.abort()
        finally:
            self._links.discard(link)
            if link.dead:
                HELD.extend((theirs, writer))
            else:
                (HELD.append if link.half_closed else asyncio.StreamWriter.close)(theirs)
                writer.close()

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(CHUNK_BYTES):
                pass
        HELD.append(writer)

    async def _requests(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._loses(link) or link.half_closed:
                continue
            link.theirs.write(data)
            await link.theirs.drain()
        if self._loses(link):
            raise ConnectionAbortedError  # our side is gone, and the server does not hear of it
        if not link.half_closed:
            link.theirs.write_eof()

    async def _answers(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._loses(link) or link.half_closed:
                continue
            state = self._state
            if state.bytes_per_s:
                now_s = asyncio.get_running_loop().time()
                self._free_at_s = max(now_s, self._free_at_s) + len(data) / state.bytes_per_s
                await self._pause(self._free_at_s - now_s)
            if state.delay_s:
                await self._pause(state.delay_s)
            if state.cut_s and len(data) > 1:
                link.ours.write(data[: len(data) // 2])
                data = data[len(data) // 2 :]
                await self._pause(state.cut_s)
            if self._loses(link) or link.half_closed:
                continue
            link.ours.write(data)
            await link.ours.drain()
        if not (self._loses(link) or link.half_closed):
            link.ours.write_eof()

    async def _pause(self, seconds: float) -> None:
        """Waits so long, or until another state holds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _loses(self, link: Link) -> bool:
        """Whether what has just come on the link is lost, and the link with it."""
        link.dead = link.dead or self._state.hole
        return link.dead


HELD: list[asyncio.StreamWriter] = []  # sides that never learn that the others are gone


def reset(side: asyncio.StreamWriter) -> None:
    """Closes the connection of ``side`` so that its other end sees a reset."""
    with suppress(OSError, AttributeError):
        side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    side.transport.abort()


def answer(line: str) -> None:
    """Writes ``line`` for whoever started this process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(host: str, port: int) -> None:
    """Relays to the server at ``host`` and ``port`` until standard input ends."""
    allow_open_files()
    relay = Relay(host, port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, backlog=1000)
    answer(str(server.sockets[0].getsockname()[1]))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while order := await orders.readline():
        relay.become(State(**json.loads(order)))
        answer("")
    os._exit(0)  # connections that are left are not waited for


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
