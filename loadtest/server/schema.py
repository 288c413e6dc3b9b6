"""The tables under load: 1,000 groups of 5 rows to read, and a ledger to write."""

import zlib
from functools import cache

from pymysql import ProgrammingError
from pymysql.cursors import Cursor

GROUPS_COUNT = 1000
ROWS_PER_GROUP = 5
ROWS = "loadtest_rows"
LEDGER = "loadtest_ledger"

DROP = f"DROP TABLE IF EXISTS {ROWS}, {LEDGER}"
CREATE_ROWS = (
    f"CREATE TABLE {ROWS} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, group_id INT NOT NULL, "
    "payload VARCHAR(100) NOT NULL, KEY (group_id)) ENGINE=InnoDB"
)
# No unique key over invocations on purpose: a write that was doubled has to show. But some servers want
# a primary key in every table (sql_require_primary_key).
CREATE_LEDGER = (
    f"CREATE TABLE {LEDGER} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
    "invocation VARCHAR(64) NOT NULL, amount INT NOT NULL, "
    "written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY (invocation)) ENGINE=InnoDB"
)
INSERT_ROW = f"INSERT INTO {ROWS} (id, group_id, payload) VALUES (%s, %s, %s)"  # noqa: S608 - our constant
FINGERPRINT = (
    "SELECT COUNT(*), BIT_XOR(CRC32(CONCAT(id, ' ', group_id, ' ', payload))) "  # noqa: S608 - our constant
    f"FROM {ROWS}"
)


def payload(row_id: int) -> str:
    """The text of row ``row_id``, from 1 on, the same on every server and in every run."""
    return f"row {row_id:05d} ".ljust(80, "x")


@cache
def _rows() -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (row_id, (row_id - 1) // ROWS_PER_GROUP + 1, payload(row_id))
        for row_id in range(1, GROUPS_COUNT * ROWS_PER_GROUP + 1)
    )


def create(cursor: Cursor) -> None:
    """Creates and fills both tables. Groups are numbered 1 to 1,000. Raises PyMySQL's errors."""
    cursor.execute(DROP)
    cursor.execute(CREATE_ROWS)
    cursor.execute(CREATE_LEDGER)
    cursor.executemany(INSERT_ROW, _rows())
    cursor.execute(f"ANALYZE TABLE {ROWS}")


def restore(cursor: Cursor) -> None:
    """Empties the ledger, and creates the rows again if they have changed. Raises PyMySQL's errors."""
    cursor.execute("SHOW TABLES LIKE 'loadtest\\_%'")
    if {ROWS, LEDGER} <= {row[0] for row in cursor.fetchall()}:
        cursor.execute(FINGERPRINT)
        if cursor.fetchone() == _fingerprint():
            cursor.execute(f"TRUNCATE TABLE {LEDGER}")
            return
    create(cursor)


@cache
def _fingerprint() -> tuple[int, int]:
    rows, total = _rows(), 0
    for row in rows:
        total ^= zlib.crc32(" ".join(map(str, row)).encode())
    return len(rows), total


def drop(cursor: Cursor) -> None:
    """Leaves a server that is not ours as it was. Raises PyMySQL's errors."""
    cursor.execute(DROP)


# What a function does with the tables, without leaving a trace.
SELECT = f"SELECT id, payload FROM {ROWS} WHERE group_id = 1"  # noqa: S608 - our constant
WRITES = (
    f"INSERT INTO {LEDGER} (invocation, amount) VALUES ('probe', 0)",  # noqa: S608 - our constant
    f"DELETE FROM {LEDGER} WHERE invocation = 'probe'",  # noqa: S608 - our constant
)


def probe(cursor: Cursor) -> None:
    """Does once what functions do. Raises PyMySQL's errors, also if there are too few rows."""
    found = cursor.execute(SELECT)
    if found != ROWS_PER_GROUP:
        raise ProgrammingError(0, f"{found} rows where there are {ROWS_PER_GROUP} (sql_select_limit?)")
    for statement in WRITES:
        cursor.execute(statement)
