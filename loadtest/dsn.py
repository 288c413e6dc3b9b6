"""``mysql://user:password@host:port/database``: where a server is and as whom to call."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from loadtest.errors import UsageError

FORM = "mysql://user:password@host:port/database"


@dataclass(frozen=True, slots=True)
class Dsn:
    """An account on a server. ``repr`` and ``str`` leave the password out."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str = ""

    @classmethod
    def parse(cls, text: str) -> "Dsn":
        """The DSN in ``text``, mysql://user:password@host:3306/database; the port may be left out.

        Raises :class:`UsageError`, which never repeats the text: it may hold a password.
        """
        try:
            parts = urlsplit(text)
            port = 3306 if parts.port is None else parts.port
        except ValueError:
            raise UsageError(f"malformed DSN: the port is not a number below 65536; write {FORM}") from None
        if port == 0:
            raise UsageError("malformed DSN: port 0 is none; leave it out for 3306")
        if parts.scheme != "mysql":
            raise UsageError(f"malformed DSN: it does not begin with mysql://; write {FORM}")
        database = unquote(parts.path.lstrip("/"))
        missing = [
            name
            for name, value in (("user", parts.username), ("host", parts.hostname), ("database", database))
            if not value
        ]
        if missing:
            raise UsageError(f"malformed DSN: no {' and no '.join(missing)}; write {FORM}")
        if re.search(r"\s", str(parts.hostname)):
            raise UsageError(f"malformed DSN: there is white space in the host; write {FORM}")
        if parts.query or parts.fragment or "/" in database:
            raise UsageError(f"malformed DSN: something follows the database's name; write {FORM}")
        return cls(
            str(parts.hostname), port, unquote(parts.username or ""), unquote(parts.password or ""), database
        )

    def url(self) -> str:
        """With the password: for the environment of our own processes only."""
        account = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mysql://{account}@{host}:{self.port}/{quote(self.database, safe='')}"

    def __str__(self) -> str:
        return f"mysql://{self.user}@{self.host}:{self.port}/{self.database}"

    def connect_arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``pymysql.connect``."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database or None,
        }
