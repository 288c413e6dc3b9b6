"""A time limit for what a connection reads and writes."""

from typing import Any, Self

from pymysql.connections import Connection


class read_timeout:  # noqa: N801 - used like a function
    """Within the block no read and no write of a PyMySQL connection takes longer than ``limit_s`` seconds.

    None changes nothing; nor does a library without these attributes. A class, since a generator's
    context manager costs more than the rest of it.
    """

    __slots__ = ("_connection", "_limit_s", "_own")

    def __init__(self, connection: Any, limit_s: float | None) -> None:
        self._connection = connection if isinstance(connection, Connection) else None
        self._limit_s = limit_s

    def __enter__(self) -> Self:
        connection, limit_s = self._connection, self._limit_s
        if connection is not None and limit_s is not None:
            limit_s = max(0.001, limit_s)  # 0 would mean non-blocking
            self._own = read_s, write_s = connection._read_timeout, connection._write_timeout  # type: ignore[attr-defined]
            connection._read_timeout = limit_s if read_s is None else min(read_s, limit_s)  # type: ignore[attr-defined]
            connection._write_timeout = limit_s if write_s is None else min(write_s, limit_s)  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: Any) -> None:
        connection = self._connection
        if connection is not None and self._limit_s is not None:
            connection._read_timeout, connection._write_timeout = self._own  # type: ignore[attr-defined]
