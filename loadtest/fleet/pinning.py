"""Which statements bind a client of a proxy to one connection of the server. Pure.

Sources: RDS user guide, "Avoiding pinning an RDS Proxy"; MySQL Router 9.7 manual, "Connection sharing", and
what tests/server/test_proxies.py has found out.
"""

import functools
import re

from pymysql.constants import COMMAND

CACHED_LENGTH = 1000  # of a statement; longer ones are looked at each time
COM_STMT_PREPARE = COMMAND.COM_STMT_PREPARE
TRANSACTION = "open transaction"

_COMMENTS = r"\s*(?:/\*.*?\*/\s*|--[ \t][^\n]*\n\s*|#[^\n]*\n\s*)*"
# What a proxy sets again on whatever connection comes next.
_TRACKED = (
    r"(?:names|character\s+set|(?:(?:session|local)\s+|@@(?:session\.|local\.)?)?"
    r"(?:sql_mode|time_zone|autocommit|wait_timeout|character_set_\w+|collation_connection)\b)"
)
_CAUSES = {
    "prepared statement": r"prepare\b",
    "user variable": r"set\s+@(?!@)|select\b.*(?:@\w+\s*:=|\binto\s+@)",
    "temporary table": r"create\s+temporary\b",
    "GET_LOCK": r".*\bget_lock\s*\(",
    "LOCK TABLES": r"lock\s+tables?\b|flush\s+tables\b.*\bwith\s+read\s+lock",
    TRANSACTION: r"begin\b|start\s+transaction\b|set\s+autocommit\s*=\s*(?:0|off)\b",
    "SET": rf"set\s+(?!{_TRACKED})(?!global\b|@@global|persist|password\b|transaction\b)",
}
_PATTERNS = {cause: re.compile(_COMMENTS + pattern, re.I | re.S) for cause, pattern in _CAUSES.items()}


def cause_of(command: int, sql: object) -> str:
    """Why the command with this number, and with ``sql`` as its argument, pins its connection.

    "" if it does not.
    """
    if command == COM_STMT_PREPARE:
        return "prepared statement"
    if command != COMMAND.COM_QUERY:
        return ""
    text = sql.decode("latin1") if isinstance(sql, bytes | bytearray) else str(sql)
    return _cached(text) if len(text) <= CACHED_LENGTH else _of_text(text)


def _of_text(text: str) -> str:
    return next((cause for cause, pattern in _PATTERNS.items() if pattern.match(text)), "")


_cached = functools.lru_cache(256)(_of_text)
