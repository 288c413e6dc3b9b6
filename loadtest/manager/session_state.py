"""Whether a statement gives its session a state of its own, judged by its text. Pure.

What a procedure or function does inside cannot be seen. A false alarm, as for a literal that contains such
words, costs a reconnect. So does a state that a later statement takes away again: nobody looks for that.
"""

import functools
import re

NOTHING, STATE, TABLE_LOCKS = 0, 1, 2  # BEGIN ends the last kind: it implies UNLOCK TABLES
CACHED_LENGTH = 2_000  # longer texts consist of values and do not come again

# Before the first word: white space, brackets, comments, and the marks of comments that the server executes.
_LEAD = re.compile(r"(?:[\s(]|/\*m?!\d*|\*/|/\*(?!m?!).*?\*/|--\s[^\n]*|#[^\n]*)*", re.DOTALL)
_TABLE_LOCKS = re.compile(
    r"lock\s+tables?\b|flush\s+(?:\w+\s+)?tables?\b.*(?:with\s+read\s+lock|for\s+export)", re.DOTALL
)
_STATE = re.compile(
    r"set\b|lock\s+instance\b|backup\b|create\s+(?:or\s+replace\s+)?temporary\b|prepare\b|use\b|handler\b"
    r"|(?:call|load)\b.*@",
    re.DOTALL,
)
# These concern the server, an account, or one statement only.
_OTHERS = re.compile(
    r"set\s+(?:(?:global|persist|persist_only|password|default\s+role|statement)\b|@@(?:global|persist\w*)\.)"
)
_ANYWHERE = re.compile(r":=|into\s+@|\bget_(?:lock|read_locks|write_locks)\s*\(|service_get_\w+_locks\s*\(")

_BEGINS = re.compile(r"begin\b|start\s+transaction\b")


def begins_transaction(sql: str | bytes | bytearray) -> bool:
    """Whether the statement opens a transaction, whatever the session's autocommit says."""
    text = sql[:CACHED_LENGTH]
    return _begins(text if isinstance(text, str) else bytes(text).decode("latin1"))


def state_of(sql: str | bytes | bytearray) -> int:
    """NOTHING, STATE or TABLE_LOCKS: what the statement, or one of several in the text, leaves behind."""
    text = sql if isinstance(sql, str) else bytes(sql).decode("latin1")
    return _cached(text) if len(text) <= CACHED_LENGTH else _of_text(text)


def _of_text(sql: str) -> int:
    text = sql.lower()
    found = max(_of_statement(part) for part in text.split(";"))
    # Plain searches are much faster than the expression, and nearly always enough.
    is_settled = found or not any(mark in text for mark in (":=", "@", "get_lock", "_locks"))
    return found if is_settled else STATE if _ANYWHERE.search(text) else NOTHING


_cached = functools.lru_cache(256)(_of_text)


@functools.lru_cache(256)
def _begins(sql: str) -> bool:
    text = sql.lower()
    return bool(_BEGINS.match(text, _LEAD.match(text).end()))  # type: ignore[union-attr]


def _of_statement(text: str) -> int:
    begin = _LEAD.match(text).end()  # type: ignore[union-attr]
    if _TABLE_LOCKS.match(text, begin):
        return TABLE_LOCKS
    if not _STATE.match(text, begin):
        return NOTHING
    return NOTHING if _OTHERS.match(text, begin) and "," not in text else STATE
