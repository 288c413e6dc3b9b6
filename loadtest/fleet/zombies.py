"""Every connection's life, and the sockets that reaped containers left behind.

A zombie's socket stays open and unread here until the server closes it or the run ends. One epoll
set watches all sockets for the server's FIN, living ones too, so that the end of each connection
is seen when it happens and not when somebody looks: the ground truth.
"""

from __future__ import annotations

import select
import weakref
from collections.abc import Callable, Iterator
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from loadtest.fleet.clock import Clock
from loadtest.manager.liveness import is_readable
from loadtest.records import ConnectionLife, Kill

if TYPE_CHECKING:
    from loadtest.fleet.wire import MeteredConnection

# gevent's patching takes epoll out of `select`, for one that would block; ours is only ever polled.
try:
    from gevent.monkey import get_original

    _epoll: Any = get_original("select", "epoll")
    _FIN = 0x2000 | 0x010 | 0x008  # EPOLLRDHUP, EPOLLHUP, EPOLLERR
except (ImportError, AttributeError):  # no epoll outside Linux: sockets are looked at one by one
    _epoll = getattr(select, "epoll", None)


class Life:
    """A :class:`~loadtest.records.ConnectionLife` in the making."""

    __slots__ = (
        "closed_s", "connection", "container", "fate", "fd", "gone_s", "held", "killed_by", "opened_s",
        "reaped_s", "server_id", "unseen",
    )  # fmt: skip

    def __init__(
        self, connection: MeteredConnection, container: int, server_id: int, opened_s: float
    ) -> None:
        self.connection: Any = weakref.ref(connection)
        self.container = container
        self.server_id = server_id
        self.opened_s = opened_s
        self.closed_s = self.reaped_s = self.gone_s = nan
        self.fate = "open"
        self.killed_by = -1
        self.fd = connection._sock.fileno()  # type: ignore[has-type]
        self.unseen = False
        self.held: Any = None  # a zombie's socket and reader

    @property
    def ended_by_server(self) -> str:
        return "killed" if self.killed_by >= 0 else "expired"


class Book:
    """All connections of one worker. Rows go to ``record`` when :meth:`flush` is called."""

    def __init__(
        self,
        clock: Clock,
        worker: int,
        record: Callable[[ConnectionLife], None],
        record_kill: Callable[[Kill], None],
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._record = record
        self._record_kill = record_kill
        self._by_fd: dict[int, Life] = {}
        self._of_container: dict[int, list[Life]] = {}
        self._changed: dict[Life, None] = {}
        self._watch = _epoll() if _epoll else None
        self.zombies_count = 0
        self._unseen_count = 0  # dropped by the server, and their containers do not know yet
        self.ended_counts = dict.fromkeys(("closed", "expired", "killed", "lost"), 0)

    @property
    def open_count(self) -> int:
        """Connections that living containers hold and the server has not dropped."""
        return len(self._by_fd) - self.zombies_count - self._unseen_count

    def held_by(self, container: int) -> int:
        """The server's id of a connection that the container has open; 0 when it has none."""
        lives = self._of_container.get(container, ())
        return next((life.server_id for life in lives if isnan(life.gone_s)), 0)

    def zombies(self) -> Iterator[tuple[int, int, float]]:
        """Container, the server's id, and when it was left, of each that is still on the server."""
        for life in self._by_fd.values():
            if life.held is not None:
                yield life.container, life.server_id, life.reaped_s

    def opened(self, connection: MeteredConnection) -> Life:
        server_id = int(connection.thread_id())  # type: ignore[no-untyped-call]
        life = Life(connection, connection.meter.container, server_id, self._clock.now())
        self._by_fd[life.fd] = life
        self._of_container.setdefault(life.container, []).append(life)
        self._changed[life] = None
        if self._watch is not None:
            self._watch.register(life.fd, _FIN)
        return life

    def closed(self, life: Life, *, in_use: bool, dropped: bool) -> None:
        """Our side lets go. ``dropped``: the server had closed it before."""
        life.closed_s = self._clock.now()
        dropped = dropped or not isnan(life.gone_s)
        if in_use:
            life.fate = "killed" if life.killed_by >= 0 else "lost"
        elif dropped:
            life.fate = life.ended_by_server
        else:
            life.fate = "closed"
        if isnan(life.gone_s):
            life.gone_s = life.closed_s
        if not life.unseen:
            self.ended_counts[life.fate] += 1
        self._unseen_count -= life.unseen
        self._forget(life)
        siblings = self._of_container.get(life.container, [])
        if life in siblings:
            siblings.remove(life)
            if not siblings:
                del self._of_container[life.container]

    def reaped(self, container: int) -> None:
        """The container is gone without a word: its connections stay on the server."""
        for life in self._of_container.pop(container, ()):
            connection = life.connection()
            if connection is None or life.fd not in self._by_fd:
                continue
            if not isnan(life.gone_s):  # the server dropped it before the container went
                connection._force_close()
                continue
            life.held = connection.surrender()
            life.reaped_s = self._clock.now()
            life.fate = "zombie"
            self.zombies_count += 1
            self._changed[life] = None

    def cut(self, container: int) -> None:
        """The container is stopped in mid-flight and its connections are closed, without a goodbye."""
        for life in list(self._of_container.get(container, ())):
            connection = life.connection()
            if connection is not None:
                connection._force_close()

    def killing(self, killer: int, victim: int) -> Callable[[str], None]:
        """A KILL is being sent; the answer is told to what is returned ("" when it succeeded)."""
        at_s = self._clock.now()
        known = next((life for life in self._by_fd.values() if life.server_id == victim), None)
        if known is not None:
            known.killed_by = killer

        def done(error: str) -> None:
            if error and known is not None and isnan(known.gone_s):
                known.killed_by = -1
            self._record_kill(Kill(self._worker, killer, victim, at_s, error))

        return done

    def poll(self) -> None:
        """Notes whom the server has dropped since the last time. About 10 µs and 1 µs for each."""
        now = self._clock.now()
        for fd in self._dropped():
            life = self._by_fd.get(fd)
            if life is None or not isnan(life.gone_s):
                continue
            life.gone_s = now
            self._changed[life] = None
            if self._watch is not None:
                self._watch.unregister(fd)
            self.ended_counts[life.ended_by_server] += 1
            if life.held is None:
                life.unseen = True
                self._unseen_count += 1
            else:
                life.fate = life.ended_by_server
                self.zombies_count -= 1
                self._forget(life)
                self._let_go(life)

    def _dropped(self) -> list[int]:
        if self._watch is not None:
            return [fd for fd, _ in self._watch.poll(0)]
        frozen = [life for life in self._by_fd.values() if life.held is not None]
        return [life.fd for life in frozen if is_readable(life.held[0])]

    def flush(self) -> None:
        """Hands over a row for each connection that changed; the newest row of one counts."""
        changed, self._changed = self._changed, {}
        for life in changed:
            self._record(
                ConnectionLife(
                    self._worker, life.container, life.server_id, life.opened_s, life.closed_s, life.fate,
                    life.reaped_s, life.gone_s, life.killed_by,
                )
            )  # fmt: skip

    def close(self) -> None:
        """The run ends: all sockets are let go of, which is not their end in the record."""
        lives = list(self._by_fd.values())
        for life in lives:
            self._changed[life] = None
            if life.unseen:
                life.fate = life.ended_by_server
            if life.held is not None:
                self._let_go(life)
        self.flush()
        self._by_fd.clear()
        if self._watch is not None:
            self._watch.close()
        # The next test in this process finds a server that nobody of this one still uses.
        for connection in filter(None, (life.connection() for life in lives)):
            connection._force_close()

    def _forget(self, life: Life) -> None:
        self._changed[life] = None
        if self._by_fd.get(life.fd) is life:
            del self._by_fd[life.fd]

    @staticmethod
    def _let_go(life: Life) -> None:
        for end in reversed(life.held):
            if end is not None:
                end.close()
        life.held = None
