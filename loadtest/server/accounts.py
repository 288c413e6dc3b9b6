"""The two accounts on a server of ours: an ordinary one for functions, and the harness's own."""

import secrets
from dataclasses import dataclass, field

from loadtest.dsn import Dsn
from loadtest.server import flavour
from loadtest.server.ports import Ports

SCHEMA = "loadtest"
FUNCTIONS_USER, ADMIN_USER = "loadtest", "loadtest_admin"


@dataclass(frozen=True, slots=True)
class Started:
    """A server that is up, with both accounts and the path to it."""

    functions: Dsn
    admin: Dsn
    path: str
    warnings: tuple[str, ...] = ()


def _fresh_password() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Passwords:
    """New passwords for each server."""

    functions: str = field(default_factory=_fresh_password, repr=False)
    admin: str = field(default_factory=_fresh_password, repr=False)

    def statements(self, of: str) -> list[str]:
        """The SQL that creates the schema and the accounts. ``of``: mysql or mariadb."""
        return flavour.accounts(of, (ADMIN_USER, self.admin), (FUNCTIONS_USER, self.functions), SCHEMA)

    def started(self, ports: Ports, path: str = "host", warnings: tuple[str, ...] = ()) -> Started:
        """A server of ours that is up on these ports of 127.0.0.1, with the accounts of :meth:`statements`.

        ``path`` is how it is reached, "host" or "published"; ``warnings`` are what a user has to know of it.
        """
        return Started(
            Dsn("127.0.0.1", ports.functions, FUNCTIONS_USER, self.functions, SCHEMA),
            Dsn("127.0.0.1", ports.admin, ADMIN_USER, self.admin, SCHEMA),
            path,
            warnings,
        )
