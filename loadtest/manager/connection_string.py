"""Connection strings: ``mysql://user:password@host:port/database?option=value``. Pure."""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("mysql", "mariadb")
# Options of PyMySQL that stay text, whatever they look like.
TEXT = frozenset({
    "bind_address", "charset", "collation", "init_command", "program_name", "read_default_file",
    "read_default_group", "server_public_key", "sql_mode", "ssl_ca", "ssl_cert", "ssl_key",
    "ssl_key_password", "unix_socket",
})  # fmt: skip
WORDS = {"true": True, "false": False, "none": None, "null": None}


def parse(text: str) -> dict[str, Any]:
    """The parts and options of ``text`` as connect arguments: percent-decoded, converted to their types.

    Raises :class:`ValueError` with the reason, and without any part that may be the password.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise _refused("it does not start with mysql://")
    if scheme.lower() not in SCHEMES:
        raise _refused(f"its scheme is neither {' nor '.join(SCHEMES)}")
    if re.search(r"[\s\x00-\x1f]", text):
        raise _refused("it contains white space; write %20 for a space")
    if "#" in text:
        raise _refused("it contains a #; write %23")
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        raise _refused("its host is malformed; an IPv6 address needs brackets") from None
    try:
        port = parts.port
    except ValueError:
        # Python's message quotes the port, which is the password where an @ or / was not encoded.
        raise _refused("its port is not a number up to 65535; / : @ in a password are %2F %3A %40") from None
    if not host:
        raise _refused("it has no host")
    if "@" in parts.query and parts.username is None:
        raise _refused("an @ comes after its ?; a ? in a password is %3F, an @ in an option %40")
    if port == 0:
        raise _refused("its port is 0")
    found = {
        "host": unquote(host),
        "port": port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password is not None else None,
        "database": unquote(parts.path[1:]) or None,
    }
    arguments = {name: value for name, value in found.items() if value is not None}
    if "/" in parts.path[1:]:
        raise _refused("its path is more than a database; write %2F for a / in the name")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII):
            raise _refused("the name of an option is malformed")
        if name in found:
            raise _refused(f"{name} is among its options; it belongs before them")
        arguments[name] = value if name in TEXT else _typed(value)
    return arguments


def _typed(value: str) -> Any:
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    for kind, pattern in ((int, r"[+-]?\d+"), (float, r"[+-]?\d*\.\d+")):
        if re.fullmatch(pattern, value, re.ASCII):
            return kind(value)
    return value


def _refused(reason: str) -> ValueError:
    return ValueError(f"connection string: {reason}")
