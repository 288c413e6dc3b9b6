"""Which statements bind a client of a proxy to one connection of the server. Pure.

Sources: RDS user guide, "Avoiding pinning an RDS Proxy"; MySQL Router 9.7 manual, "Connection sharing", and
what tests/server/test_proxies.py has found out.
"""

import functools
import re

from pymysql.constants import COMMAND

CACHED_LENGTH = 1000  # of a statement; longer ones are looked at each time
COM_STMT_PREPARE = COMMAND.COM_STMT_PREPARE
TRANSACTION, USER_VARIABLE = "open transaction", "user variable"

# Literals and comments, which bind nobody; what stands in /*! … */ the server runs.
_NO_CODE = re.compile(
    r"""'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.|"")*+"|`[^`]*+`"""
    r"|/\*(?!!)(?:[^*]|\*(?!/))*+\*/|--(?=\s|$)[^\n]*|\#[^\n]*",
    re.S,
)
_VERSIONED = re.compile(r"/\*!\d*|\*/")
# What a proxy sets again on whatever connection comes next.
_TRACKED = re.compile(
    r"(?:names|character\s+set|(?:(?:session|local)\s+|@@(?:session\.|local\.)?)?"
    r"(?:sql_mode|time_zone|autocommit|wait_timeout|character_set_\w+|collation_connection)\b)"
)
_OF_ALL = re.compile(
    r"(?:global|persist|persist_only)\s|@@(?:global|persist|persist_only)\.|password\b|transaction\b"
)
_OFF = re.compile(r"(?:(?:session|local)\s+|@@(?:session\.|local\.)?)?autocommit\s*:?=\s*(?:0|off)\b")
_CAUSES = {
    "prepared statement": r"prepare\b",
    "temporary table": r"create\s+temporary\b",
    "GET_LOCK": r".*\bget_lock\s*\(",
    "LOCK TABLES": r"lock\s+tables?\b|flush\s+tables\b.*\bwith\s+read\s+lock",
    TRANSACTION: r"begin\b|start\s+transaction\b|xa\s+(?:start|begin)\b",
    USER_VARIABLE: r"\(*\s*select\b.*(?:(?<!@)@[\w$.]+\s*:=|\binto\s+@)",
}
_PATTERNS = {cause: re.compile(pattern, re.S) for cause, pattern in _CAUSES.items()}


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
    code = _NO_CODE.sub(lambda found: " " if found[0][0] in "/-#" else "''", text)
    plain = _VERSIONED.sub(" ", code).strip(" \t\r\n;").lower()
    if re.match(r"set\s", plain):
        return _of_set(plain[4:])
    return next((cause for cause, pattern in _PATTERNS.items() if pattern.match(plain)), "")


def _of_set(assignments: str) -> str:
    """Of ``SET a = 1, @b = 2``: the first of them that binds."""
    for one in assignments.split(","):
        text = one.strip()
        if text.startswith("@") and not text.startswith("@@"):
            return USER_VARIABLE
        if _OFF.match(text):
            return TRANSACTION
        if "=" in text and not _TRACKED.match(text) and not _OF_ALL.match(text):
            return "SET"
    return ""


_cached = functools.lru_cache(256)(_of_text)
