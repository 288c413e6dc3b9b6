"""The life of every connection, and the sockets that reaped containers leave behind: the ground truth.

A zombie's socket stays open and unread here until the server closes it or the run ends. One epoll set
watches all sockets for the server's FIN, those of living containers too, so that the end of each connection
is seen when it happens.
"""

import select
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import auto
from math import nan
from typing import Any, Protocol

from loadtest.fleet.clock import Clock
from loadtest.fleet.lifecycle import Quick, moved
from loadtest.fleet.totals import Totals
from loadtest.manager.liveness import is_readable
from loadtest.results.rows import ConnectionLife, Kill, Pin

# gevent's patching takes epoll out of `select`, for one that would block; ours is only ever polled.
try:
    from gevent.monkey import get_original

    _epoll: Any = get_original("select", "epoll")
    _thread_id: Callable[[], int] = get_original("_thread", "get_ident")
    _FIN = 0x2000 | 0x010 | 0x008  # EPOLLRDHUP, EPOLLHUP, EPOLLERR
except (ImportError, AttributeError):  # no epoll outside Linux: sockets are looked at one by one
    _epoll = getattr(select, "epoll", None)
    from _thread import get_ident as _thread_id


class State(Quick):
    """The state of a connection on both sides."""

    OPEN = auto()  # a container's, and the server has it
    DROPPED = auto()  # the server has dropped it, and its container does not know yet
    ZOMBIE = auto()  # its container is gone, and the server has it
    GONE = auto()  # nobody has it any more


class Event(Quick):
    DROP = auto()  # the server closes its end
    CLOSE = auto()  # our end is closed
    REAP = auto()  # the container goes without a word


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.DROP): State.DROPPED,
    (State.OPEN, Event.CLOSE): State.GONE,
    (State.OPEN, Event.REAP): State.ZOMBIE,
    (State.DROPPED, Event.CLOSE): State.GONE,
    (State.ZOMBIE, Event.DROP): State.GONE,
}


class Recorded(Protocol):
    """What the book needs of a connection: :class:`~loadtest.fleet.connection.MeteredConnection`."""

    meter: Any

    def thread_id(self) -> int: ...

    def fileno(self) -> int: ...

    def surrender(self) -> tuple[Any, Any]: ...

    def _force_close(self) -> None: ...


class Life:
    """A :class:`~loadtest.results.rows.ConnectionLife` in the making. Times in seconds on the run's clock.

    ``container`` is the number of the one that opened it (-1: the pool of ``ideal``), ``server_id``
    the server's id of the connection.
    """

    __slots__ = (
        "closed_s", "connection", "container", "fate", "fd", "gone_s", "held", "killed_by", "opened_s",
        "reaped_s", "server_id", "state",
    )  # fmt: skip

    def __init__(self, connection: Recorded, container: int, server_id: int, opened_s: float) -> None:
        self.connection: Any = weakref.ref(connection)
        self.container = container
        self.server_id = server_id
        self.opened_s = opened_s
        self.closed_s = self.reaped_s = self.gone_s = nan
        self.fate = "open"
        self.killed_by = -1
        self.fd = connection.fileno()
        self.state = State.OPEN
        self.held: Any = None  # a zombie's socket and reader

    def __repr__(self) -> str:
        return f"<Life {self.server_id} of container {self.container}: {self.state.name}, {self.fate}>"

    def move(self, event: Event) -> None:
        """Raises :class:`~loadtest.fleet.lifecycle.IllegalMove`."""
        self.state = moved(TRANSITIONS, self.state, event, self)

    @property
    def ended_by_server(self) -> str:
        """The fate of a connection that the server has dropped."""
        return "killed" if self.killed_by >= 0 else "expired"


class Book:
    """All connections of one worker. Rows go to ``record`` when :meth:`flush` is called."""

    def __init__(
        self,
        clock: Clock,
        worker: int,
        record: Callable[[ConnectionLife], None],
        record_kill: Callable[[Kill], None],
        record_pin: Callable[[Pin], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._record = record
        self._record_kill = record_kill
        self._record_pin = record_pin
        self._by_fd: dict[int, Life] = {}
        self._of_container: dict[int, list[Life]] = {}
        self._changed: dict[Life, None] = {}
        self._watch = _epoll() if _epoll else None
        self._thread_id = _thread_id()
        self._found: deque[Recorded] = deque()
        self.totals = Totals()
        self.zombies_count = 0
        self.shortages_count = 0  # connects that failed on this machine: see `shortage_of`
        self._dropped_count = 0  # dropped by the server, and their containers do not know yet
        self.ended_counts = dict.fromkeys(("closed", "expired", "killed", "lost"), 0)

    @property
    def open_count(self) -> int:
        """Connections that living containers hold and that the server has not dropped."""
        return len(self._by_fd) - self.zombies_count - self._dropped_count

    def held_by(self, container: int) -> int:
        """The server's id of an open connection of ``container``, a number; 0 if it has none."""
        lives = self._of_container.get(container, ())
        return next((life.server_id for life in lives if life.state is State.OPEN), 0)

    def zombies(self) -> Iterator[tuple[int, int, float]]:
        """Container, server's id, and the time of the reap, of each zombie that is still on the server."""
        for life in self._by_fd.values():
            if life.state is State.ZOMBIE:
                yield life.container, life.server_id, life.reaped_s

    def opened(self, connection: Recorded) -> Life:
        self.totals.opened_count += 1
        server_id = int(connection.thread_id())
        life = Life(connection, connection.meter.container, server_id, self._clock.now())
        self._by_fd[life.fd] = life
        self._of_container.setdefault(life.container, []).append(life)
        self._changed[life] = None
        if self._watch is not None:
            self._watch.register(life.fd, _FIN)
        return life

    def closed(self, life: Life, *, in_use: bool, dropped: bool) -> None:
        """The connection is closed on our side. ``dropped``: the server had closed it before.

        ``in_use``: a statement was under way on it.
        """
        was_seen_dropped = life.state is State.DROPPED
        life.move(Event.CLOSE)
        life.closed_s = self._clock.now()
        # Of garbage the collector may have closed the socket itself, and another one may have its number.
        is_known = self._by_fd.get(life.fd) is life
        if self._watch is not None and not was_seen_dropped and is_known:
            # Closing it is not enough while a process that is being started still has a copy of it.
            with suppress(OSError, ValueError):
                self._watch.unregister(life.fd)
        if in_use:
            life.fate = "killed" if life.killed_by >= 0 else "lost"
        elif dropped or was_seen_dropped:
            life.fate = life.ended_by_server
        else:
            life.fate = "closed"
        if was_seen_dropped:
            self._dropped_count -= 1  # counted among the ended when it was seen
        else:
            life.gone_s = life.closed_s
            self.ended_counts[life.fate] += 1
        self._forget(life)
        siblings = self._of_container.get(life.container, [])
        if life in siblings:
            siblings.remove(life)
            if not siblings:
                del self._of_container[life.container]

    def reaped(self, container: int) -> None:
        """The container is gone without closing anything: its connections stay on the server."""
        for life in self._of_container.pop(container, ()):
            connection = life.connection()
            if connection is None or life.fd not in self._by_fd:
                continue
            if life.state is State.DROPPED:  # before its container went
                connection._force_close()
                continue
            life.move(Event.REAP)
            life.held = connection.surrender()
            life.reaped_s = self._clock.now()
            life.fate = "zombie"
            self.zombies_count += 1
            self._changed[life] = None

    def close_garbage(self, connection: Recorded) -> None:
        """``connection`` is open, and nobody has it any more: closed here and now, or by :meth:`poll`.

        The garbage collector runs in whichever thread it likes, such as the one that writes rows; but a
        socket of gevent's loop must not be closed by any thread but the loop's own.
        """
        if _thread_id() == self._thread_id:
            connection._force_close()
        else:
            self._found.append(connection)

    def cut(self, container: int) -> None:
        """The container is stopped while it serves, and its connections are closed without a goodbye."""
        for life in list(self._of_container.get(container, ())):
            connection = life.connection()
            if connection is not None:
                connection._force_close()

    def pinned(self, container: int, cause: str) -> None:
        """A statement of the ``container`` with this number has pinned its connection, for ``cause``."""
        self._record_pin(Pin(self._worker, container, self._clock.now(), cause))

    def killing(self, killer: int, victim: int) -> Callable[[str], None]:
        """A KILL is being sent. Returns a function to be called with its error, "" if it succeeded.

        ``killer`` is the number of the container that sends it, ``victim`` the server's id of the connection.
        """
        at_s = self._clock.now()
        known = next((life for life in self._by_fd.values() if life.server_id == victim), None)
        if known is not None:
            known.killed_by = killer

        def done(error: str) -> None:
            if error and known is not None and known.state in (State.OPEN, State.ZOMBIE):
                known.killed_by = -1
            self._record_kill(Kill(self._worker, killer, victim, at_s, error))

        return done

    def poll(self) -> None:
        """Notes which connections the server has dropped. Takes about 10 µs, and 1 µs for each."""
        while self._found:
            self._found.popleft()._force_close()
        now = self._clock.now()
        for fd in self._dropped():
            life = self._by_fd.get(fd)
            if life is None or life.state is State.DROPPED:
                continue
            was_zombie = life.state is State.ZOMBIE
            life.move(Event.DROP)
            life.gone_s = now
            self._changed[life] = None
            if self._watch is not None:
                self._watch.unregister(fd)
            self.ended_counts[life.ended_by_server] += 1
            if was_zombie:
                life.fate = life.ended_by_server
                self.zombies_count -= 1
                self._forget(life)
                self._let_go(life)
            else:
                self._dropped_count += 1

    def _dropped(self) -> list[int]:
        if self._watch is not None:
            return [fd for fd, _ in self._watch.poll(0)]
        zombies = [life for life in self._by_fd.values() if life.state is State.ZOMBIE]
        return [life.fd for life in zombies if is_readable(life.held[0])]

    def flush(self) -> None:
        """Records a row for each connection that changed; only its newest row counts."""
        changed, self._changed = self._changed, {}
        for life in changed:
            self._record(
                ConnectionLife(
                    self._worker, life.container, life.server_id, life.opened_s, life.closed_s, life.fate,
                    life.reaped_s, life.gone_s, life.killed_by,
                )
            )  # fmt: skip

    def close(self) -> None:
        """Closes all sockets at the end of the run. The rows do not count that as their end."""
        lives = list(self._by_fd.values())
        for life in lives:
            self._changed[life] = None
            if life.state is State.DROPPED:
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
