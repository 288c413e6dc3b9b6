"""Everything that differs between MySQL and MariaDB.

Sources: MySQL 8.4 manual, 7.1.12.2 "Administrative Connection Management"; MariaDB knowledge base,
"Thread Pool in MariaDB: extra_port".
"""

from pathlib import Path

MYSQL = "mysql"
MARIADB = "mariadb"

# 130 broken handshakes from one address make a server block it (1129) at the default of 100.
CONNECT_ERRORS = 1_000_000_000
# A burst that overflows the listening queue waits for TCP to retransmit, a second at least: an
# effect of the kernel, and of a default that differs from version to version (80 to 10,000).
BACK_LOG = 1000
# Distributions compile in a directory that is not there before their own service has run.
NO_FILES = "--secure-file-priv=NULL"


def of_version(text: str) -> str:
    """The flavour, mysql or mariadb, of a server with this ``text`` as its version.

    The text is from ``@@version`` or what ``mysqld --version`` says: Debian's mysqld is a mariadbd.
    """
    return MARIADB if "mariadb" in text.lower() else MYSQL


def initialise_command(flavour: str, binary: Path, installer: Path | None, data: Path) -> list[str]:
    """The command by which ``flavour`` makes an empty data directory, with a ``root`` without a password."""
    if flavour == MARIADB:
        return [
            str(installer or "mariadb-install-db"),
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
    return [str(binary), "--no-defaults", "--initialize-insecure", f"--datadir={data}", NO_FILES]


def server_options(flavour: str, port: int, admin_port: int, max_connections: int) -> list[str]:
    """Options of a small server of this ``flavour`` on 127.0.0.1 whose data may be lost.

    Functions connect to ``port``, where ``max_connections`` is the limit; the harness connects to
    ``admin_port``.
    """
    options = [
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--max-connections={max_connections}",
        f"--max-connect-errors={CONNECT_ERRORS}",
        f"--back-log={BACK_LOG}",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--table-open-cache=200",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=2",
    ]
    if flavour == MARIADB:
        # 1 by default: not enough for the monitor and one more
        return [*options, f"--extra-port={admin_port}", "--extra-max-connections=4"]
    return [
        *options,
        "--mysqlx=OFF",  # listens on every interface else
        "--admin-address=127.0.0.1",
        f"--admin-port={admin_port}",
        "--performance-schema=ON",
        NO_FILES,
    ]


def accounts(flavour: str, admin: tuple[str, str], functions: tuple[str, str], schema: str) -> list[str]:
    """Statements that create the schema and both accounts on a server of this ``flavour``; one line each.

    ``admin`` and ``functions`` are (user, password). The functions' account is an ordinary one: PROCESS for
    the census, but nothing that opens the extra administrator's connection. Passwords must be of letters and
    digits.
    """
    statements = [
        f"CREATE DATABASE IF NOT EXISTS `{schema}`",
        f"CREATE USER '{admin[0]}'@'%' IDENTIFIED BY '{admin[1]}'",
        f"GRANT ALL ON *.* TO '{admin[0]}'@'%' WITH GRANT OPTION",  # with MySQL's SERVICE_CONNECTION_ADMIN
        f"CREATE USER '{functions[0]}'@'%' IDENTIFIED BY '{functions[1]}'",
        f"GRANT ALL ON `{schema}`.* TO '{functions[0]}'@'%'",
        f"GRANT PROCESS ON *.* TO '{functions[0]}'@'%'",
    ]
    if flavour == MARIADB:
        # the installer makes root@127.0.0.1 and root@<host name> too, without a password
        statements += ["DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys' AND Host NOT IN ('%', '')"]
        statements += ["FLUSH PRIVILEGES"]
    return statements


def process_list(flavour: str, performance_schema: bool) -> str:
    """The cheapest table of connections of this ``flavour``.

    MySQL has one that needs no global lock if ``performance_schema`` is on; MariaDB has only one.
    """
    if flavour == MYSQL and performance_schema:
        return "performance_schema.processlist"
    return "information_schema.processlist"


def sleep_seconds(flavour: str) -> str:
    """SQL for the seconds that a connection of this ``flavour`` has been in its state.

    MySQL only has whole seconds.
    """
    return "time_ms / 1000" if flavour == MARIADB else "time"


COUNTERS = {
    MYSQL: ("Connections", "Aborted_connects", "Connection_errors_max_connections"),
    MARIADB: (
        "Connections",
        "Aborted_connects",
        "Connection_errors_max_connections",
        "Aborted_connects_preauth",
    ),
}


def refused_count(flavour: str, counters: dict[str, int]) -> int | None:
    """Connects that were refused because the server was full; None where ``counters`` do not tell.

    ``counters`` are values by the names in :data:`COUNTERS`. MariaDB (``flavour``) lets the first client
    beyond its limit try its password, since it might be an administrator, and counts it only as aborted: of
    640 refused connects, 579 were in the counter that is meant for them, and all 640 among the aborted ones.
    Those include wrong passwords, which cannot be subtracted, because Access_denied_errors counts denied
    statements as well.
    """
    meant = counters.get("Connection_errors_max_connections")
    if meant is None or flavour == MYSQL:
        return meant
    return counters.get("Aborted_connects", 0) - counters.get("Aborted_connects_preauth", 0)


def opened_count(flavour: str, counters: dict[str, int]) -> int | None:
    """Logins that succeeded or are under way; None where ``counters`` do not tell.

    Measured on MySQL 9.7 and MariaDB 10.11 (docs/reconciliation.md): Connections counts whom the server let
    try, and Aborted_connects those of them who failed. MariaDB (``flavour``) also counts those among the
    aborted whom it refused at the door.
    """
    began, failed = counters.get("Connections"), counters.get("Aborted_connects")
    if began is None or failed is None:
        return None
    refused_at_the_door = counters.get("Connection_errors_max_connections", 0) if flavour == MARIADB else 0
    return began + refused_at_the_door - failed


def monitor_takes_one(flavour: str) -> bool:
    """Whether a connection of the harness takes one of ``max_connections`` from the functions.

    It does with MySQL as the ``flavour``: its admin_address lets an administrator in when the server is full,
    but counts the connection, so functions get one less while the monitor is connected. MariaDB's extra_port
    has a separate count.
    """
    return flavour == MYSQL
