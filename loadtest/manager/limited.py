"""A time for what a connection does meanwhile."""

from typing import Any, Self

from pymysql.connections import Connection


class limited:  # noqa: N801 - used like a function
    """Within the block no read and no write of a PyMySQL connection takes longer than ``seconds``.

    None leaves it as it is; so does a library without these attributes. A class, since a
    generator's context manager costs more than the rest of it.
    """

    __slots__ = ("_connection", "_own", "_seconds")

    def __init__(self, connection: Any, seconds: float | None) -> None:
        self._connection = connection if isinstance(connection, Connection) else None
        self._seconds = seconds

    def __enter__(self) -> Self:
        connection, seconds = self._connection, self._seconds
        if connection is not None and seconds is not None:
            seconds = max(0.001, seconds)  # 0 would mean without blocking
            self._own = read_s, write_s = connection._read_timeout, connection._write_timeout  # type: ignore[attr-defined]
            connection._read_timeout = seconds if read_s is None else min(read_s, seconds)  # type: ignore[attr-defined]
            connection._write_timeout = seconds if write_s is None else min(write_s, seconds)  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: Any) -> None:
        connection = self._connection
        if connection is not None and self._seconds is not None:
            connection._read_timeout, connection._write_timeout = self._own  # type: ignore[attr-defined]
