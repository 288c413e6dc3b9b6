"""SQL text without a connection: escaped values and names, and statements with arguments filled in. Pure.

Assumes the server's default SQL mode. With NO_BACKSLASH_ESCAPES, escape through the connection instead.
"""

from collections.abc import Mapping
from typing import Any

from pymysql import converters

SEQUENCES = (tuple, list, set, frozenset)


def escape(value: Any) -> str:
    """A value as a literal: ``O'Neil`` becomes ``'O\\'Neil'``, a list ``(1,2)``, None ``NULL``.

    Raises :class:`TypeError` for a type that has no literal.
    """
    if isinstance(value, bytes | bytearray):
        return f"X'{value.hex()}'"
    if type(value) in SEQUENCES:  # not isinstance: time.struct_time is a tuple, too
        return "(" + ",".join(map(escape, value)) + ")"
    if isinstance(value, Mapping):
        raise TypeError("a mapping has no literal; name its values in the statement: %(name)s")
    return str(converters.escape_item(value, "utf8mb4"))


def escape_id(name: str | list[str] | tuple[str, ...], *, qualified: bool = True) -> str:
    """A name in backticks: ``a.b`` becomes ```a`.`b```, or a single name with ``qualified=False``.

    Several names are joined with commas.
    """
    if not isinstance(name, str):
        return ", ".join(escape_id(part, qualified=qualified) for part in name)
    parts = name.split(".") if qualified else [name]
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


def format(sql: str, args: Any = None) -> str:  # noqa: A001 - the published module's name
    """The statement with ``args`` in place of ``%s`` or ``%(name)s``, as PyMySQL would send it.

    Raises :class:`TypeError` for a value that has no literal, or where ``args`` do not fit.
    """
    if args is None:
        return sql
    if isinstance(args, Mapping):
        return sql % {name: escape(value) for name, value in args.items()}
    if isinstance(args, tuple | list):
        return sql % tuple(escape(value) for value in args)
    return sql % escape(args)
