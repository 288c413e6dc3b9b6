"""Restrictions of a server, reported before a load runs into them."""

from contextlib import closing

import pymysql

from loadtest.errors import ServerUnavailable
from loadtest.server import connections
from loadtest.server.target import Target

RIGHTS = frozenset({1044, 1142, 1143, 1227, 1370, 1410})
READ_ONLY = frozenset({1290, 1792, 1836})


def refused(error: pymysql.MySQLError, what: str, rights: str) -> str:
    """One sentence about a statement that failed: ``what`` we may not do, and the ``rights`` for it."""
    code = error.args[0] if error.args else None
    if code in RIGHTS:
        return f"{what} ({connections.short(error)}): {rights}"
    said = connections.words_of(error).rstrip(".")
    if code in READ_ONLY and "read" in said.lower():
        advice = "name a server that can be written to, such as the primary of this one"
    else:
        advice = "change that rule of the server, or name another one"
    return f"{what}, since the server says: {said} ({connections.short(error)}); {advice}"


def check_tls(target: Target, wanted: str) -> None:
    """Whether functions can connect with or without TLS. ``wanted``: on or off. Raises ServerUnavailable."""
    if wanted == "on":
        if not target.variables.get("tls"):
            raise ServerUnavailable("the server offers no TLS: leave out --tls on, or give it a certificate")
        return
    try:
        with closing(connections.connect_plain(target.functions)):
            return
    except (pymysql.Error, OSError, RuntimeError) as error:
        if not isinstance(error, pymysql.MySQLError) or not connections.may_want_tls(error):
            raise ServerUnavailable(connections.why(error, target.functions)) from None
    raise ServerUnavailable(
        f"{target.functions.host}:{target.functions.port} lets {target.functions.user!r} in with TLS only "
        "(require_secure_transport, or REQUIRE SSL of the account): add --tls on"
    )
