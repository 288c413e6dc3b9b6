"""The server under load, as the rest of the harness sees it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import Cursor

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import flavour
from loadtest.server.connections import LOOPBACK, session, words_of

RELAYED_WARNING = (
    "connections to this server pass through a relay, as with a port that Docker publishes: connects take "
    "longer and closes reach the server late, which adds refusals; compare such runs only with each other"
)
VARIABLES = (
    "back_log",
    "connect_timeout",
    "extra_max_connections",
    "extra_port",
    "hostname",
    "innodb_buffer_pool_size",
    "innodb_flush_log_at_trx_commit",
    "interactive_timeout",
    "admin_address",
    "admin_port",
    "max_connect_errors",
    "max_connections",
    "max_user_connections",
    "net_read_timeout",
    "net_write_timeout",
    "open_files_limit",
    "performance_schema",
    "port",
    "skip_name_resolve",
    "thread_cache_size",
    "thread_handling",
    "tls_version",
    "transaction_isolation",
    "tx_isolation",
    "version_comment",
    "wait_timeout",
)


@dataclass(frozen=True, slots=True)
class Target:
    """``variables`` are the server's own (numbers as numbers), and ``tls``: whether it offers TLS.

    ``max_user_connections`` is the limit of the functions' account; 0 means no limit.
    """

    functions: Dsn
    admin: Dsn
    kind: str  # docker, local, given
    path: str  # host, published, remote
    version: str
    flavour: str  # mysql, mariadb
    max_connections: int
    variables: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def public(self) -> dict[str, Any]:
        """What ``run.json`` and Locust's processes may know: no account, no password."""
        return {
            "version": self.version,
            "flavour": self.flavour,
            "max_connections": self.max_connections,
            "functions_max_connections": self.functions_max_connections,
            "path": self.path,
            "kind": self.kind,
            "variables": self.variables,
        }

    @property
    def functions_max_connections(self) -> int:
        """How many connections functions can have while the monitor is connected."""
        shared = self.admin.user == self.functions.user
        free = self.max_connections - (1 if shared or flavour.monitor_takes_one(self.flavour) else 0)
        limit = self.variables.get("max_user_connections") or free + shared
        return min(free, limit - shared)


def _path_to(cursor: Cursor) -> str:
    """host, published or remote: how this connection reaches its server.

    On loopback, a relay such as Docker's for published ports is recognised by what the server sees: another
    port or address than ours. Raises PyMySQL's errors.
    """
    connection: Any = cursor.connection
    if connection.host not in LOOPBACK:
        return "remote"
    cursor.execute("SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()")
    seen, _, port = str((cursor.fetchone() or ("",))[0]).rpartition(":")
    ours = connection._sock.getsockname()[1]
    return "host" if port == str(ours) and _may_be_here(seen) else "published"


def _may_be_here(seen: str) -> bool:
    try:
        return ip_address(seen.strip("[]")).is_loopback
    except ValueError:
        return True  # a name that the server knows for the address


def describe(
    functions: Dsn,
    admin: Dsn,
    kind: str,
    path: str | None,
    warnings: tuple[str, ...] = (),
    timeout_s: float = 5.0,
) -> Target:
    """Describes a running server by asking it through both accounts.

    ``kind`` is docker, local or given; ``path`` None finds out how it is reached; ``warnings`` are known
    already. Raises :class:`ServerUnavailable`.
    """
    # Through the functions' account too: a wrong grant shows here, and not as errors of a run; and
    # the server's cache of passwords is warm when the first function comes.
    with session(functions, timeout_s) as cursor:
        greeting: Any = cursor.connection
        offers_tls = bool(greeting.server_capabilities & CLIENT.SSL)
        cursor.execute("SELECT @@SESSION.max_user_connections")  # the account's own limit, if it has one
        limit = int((cursor.fetchone() or (0,))[0])
        path = path or _path_to(cursor)
    with session(admin, timeout_s) as cursor:
        try:
            variables = _read_variables(cursor)
        except pymysql.Error as error:
            raise ServerUnavailable(
                f"{admin.user!r} cannot read the server's variables: {words_of(error, admin)}"
            ) from None
        cursor.execute("SELECT VERSION()")
        version = str((cursor.fetchone() or ("unknown",))[0])
    return Target(
        functions=functions,
        admin=admin,
        kind=kind,
        path=path,
        version=version,
        flavour=flavour.of_version(version),
        max_connections=int(variables["max_connections"]),
        variables={**variables, "tls": offers_tls, "max_user_connections": limit},
        warnings=(*warnings, RELAYED_WARNING) if kind == "given" and path == "published" else warnings,
    )


def _read_variables(cursor: Cursor) -> dict[str, Any]:
    """The server's values of :data:`VARIABLES`, as far as it has them. Raises PyMySQL's errors."""
    names = ", ".join(f"'{name}'" for name in VARIABLES)
    cursor.execute(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
    return {str(name): _number(value) for name, value in cursor.fetchall()}


def _number(value: str) -> int | str:
    return int(value) if re.fullmatch("[0-9]{1,20}", value) else value
