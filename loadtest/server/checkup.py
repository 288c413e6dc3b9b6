"""Who holds a server's connections, and which of them are probably zombies. Reads, and writes nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pymysql
from pymysql.cursors import Cursor

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import connections, flavour

ASK_S = 10.0
VARIABLES = ("max_connections", "wait_timeout", "interactive_timeout", "version", "max_user_connections")
COUNTERS = (
    "Threads_connected", "Threads_running", "Max_used_connections", "Connections", "Aborted_clients",
    "Aborted_connects", "Connection_errors_max_connections", "Uptime",
)  # fmt: skip
OURS = ("system user", "event_scheduler")
DAEMONS = ("Daemon", "Binlog Dump", "Binlog Dump GTID")


@dataclass(frozen=True, slots=True)
class Held:
    """One connection: whose it is, from where, what it does, and for how many seconds."""

    id: int
    account: str
    host: str
    command: str
    for_s: float

    @property
    def is_asleep(self) -> bool:
        return self.command == "Sleep"


@dataclass(frozen=True, slots=True)
class Group:
    """The connections of one account from one host. ``oldest_s``: the longest that one has slept."""

    account: str
    host: str
    count: int
    asleep_count: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a server says of itself. ``sees_all``: the account may see the connections of others."""

    server: str
    variables: dict[str, str]
    counters: dict[str, int]
    held: list[Held] = field(default_factory=list)
    sees_all: bool = True

    @property
    def max_connections(self) -> int:
        return int(self.variables["max_connections"])

    @property
    def peak_count(self) -> int:
        """The most connections at once since the server's start."""
        return min(self.counters.get("Max_used_connections", len(self.held)), self.max_connections)

    def groups(self) -> list[Group]:
        """By account and host, the largest first."""
        found: dict[tuple[str, str], list[Held]] = {}
        for one in self.held:
            found.setdefault((one.account, one.host), []).append(one)
        groups = [
            Group(account, host, len(of), sum(one.is_asleep for one in of), _oldest_s(of))
            for (account, host), of in found.items()
        ]
        return sorted(groups, key=lambda group: (-group.count, group.account, group.host))

    def zombies(self, asleep_s: float) -> list[Held]:
        """What has slept for longer than ``asleep_s``, the oldest first.

        A container that is not called for so long has been reaped, and nobody will use or close its
        connection. That is a guess: another client may keep a connection for as long, in a pool say.
        """
        found = [one for one in self.held if one.is_asleep and one.for_s >= asleep_s]
        return sorted(found, key=lambda one: (-one.for_s, one.id))


def _oldest_s(of: Iterable[Held]) -> float:
    return max((one.for_s for one in of if one.is_asleep), default=0.0)


def check_up(dsn: Dsn) -> Checkup:
    """Asks the server once. Raises :class:`ServerUnavailable`."""
    with connections.session(dsn, ASK_S) as cursor:
        try:
            return _asked(cursor)
        except (pymysql.Error, OSError) as error:
            raise ServerUnavailable(
                f"{dsn.host}:{dsn.port} did not answer: {connections.words_of(error, dsn)}"
            ) from None


def _asked(cursor: Cursor) -> Checkup:
    variables = _pairs(cursor, "VARIABLES", VARIABLES)
    counters = {name: int(value) for name, value in _pairs(cursor, "STATUS", COUNTERS).items()}
    # Without the statements, which are nobody's business here.
    cursor.execute(
        "SELECT id, user, host, command, time FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
    )
    held = [
        Held(int(number), str(user or ""), _host(host), str(command), float(time or 0))
        for number, user, host, command, time in cursor.fetchall()
        if user not in OURS and command not in DAEMONS
    ]
    seen_count = len(held) + 1
    sees_all = seen_count >= counters.get("Threads_connected", 0) or _may_see_all(cursor)
    name = {flavour.MARIADB: "MariaDB", flavour.MYSQL: "MySQL"}[flavour.of_version(variables["version"])]
    return Checkup(f"{name} {variables['version']}", variables, counters, held, sees_all)


def _host(text: object) -> str:
    """Without the port, which is another one for each connection."""
    host, _, port = str(text or "").rpartition(":")
    return host if host and port.isdigit() else str(text or "")


def _pairs(cursor: Cursor, of: str, names: Sequence[str]) -> dict[str, str]:
    places = ", ".join(["%s"] * len(names))
    cursor.execute(f"SHOW GLOBAL {of} WHERE Variable_name IN ({places})", tuple(names))
    return {str(name): str(value) for name, value in cursor.fetchall()}


def _may_see_all(cursor: Cursor) -> bool:
    cursor.execute("SHOW GRANTS")
    for (grant,) in cursor.fetchall():
        rights, on, _ = str(grant).removeprefix("GRANT ").partition(" ON *.* TO ")
        if on and {"PROCESS", "ALL PRIVILEGES"} & {right.strip() for right in rights.split(",")}:
            return True
    return False
