"""TLS settings as providers and other libraries word them, turned into PyMySQL's arguments."""

import functools
import json
import ssl
from collections.abc import Mapping
from typing import Any

OFF, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY = range(5)
# MySQL's own ssl-mode (sslMode in JDBC) and libpq's sslmode.
MODES = {
    "disabled": OFF, "disable": OFF, "allow": PREFERRED, "prefer": PREFERRED, "preferred": PREFERRED,
    "require": REQUIRED, "required": REQUIRED, "verify_ca": VERIFY_CA, "verify_identity": VERIFY_IDENTITY,
    "verify_full": VERIFY_IDENTITY,
}  # fmt: skip
SWITCH = {True: REQUIRED, False: OFF, "true": REQUIRED, "false": OFF}  # 1 and 0 equal True and False
# The values of each name, which is in lower case and without dashes and underscores here.
WORDS: dict[str, Mapping[Any, int]] = {
    "sslmode": MODES,
    "sslaccept": {"strict": VERIFY_IDENTITY, "accept_invalid_certs": REQUIRED},  # Prisma's
    "ssl": {**MODES, **SWITCH},
    "usessl": SWITCH,
    "requiressl": {True: REQUIRED, False: PREFERRED},
}
FILES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
VERIFYING = {"ssl_verify_cert": VERIFY_CA, "ssl_verify_identity": VERIFY_IDENTITY}
# Keys of PyMySQL's own dictionary.
OWN_KEYS = frozenset({"ca", "capath", "cert", "check_hostname", "cipher", "key", "password", "verify_mode"})


def mode_of(name: str, value: Any) -> int | None:
    """How much TLS the argument ``name`` asks for; None for one of PyMySQL's own, or about something else.

    Raises :class:`ValueError` for an unknown value, without printing it.
    """
    words = WORDS.get(name.lower().replace("-", "").replace("_", ""))
    if words is None or value is None or isinstance(value, ssl.SSLContext):
        return None
    if name == "ssl":
        if isinstance(value, Mapping):
            return _of_mapping(value) if value else None
        value = _unpacked(value)
        if isinstance(value, Mapping):
            return _of_mapping(value)
    word = value.lower().replace("-", "_") if isinstance(value, str) else value
    try:
        return words[word]
    except (KeyError, TypeError):
        known = ", ".join(str(word) for word in words if isinstance(word, str)) or "true, false"
        raise ValueError(f"{name} has an unknown value; it may be {known}") from None


def _unpacked(value: Any) -> Any:
    """Parses Node's options, as PlanetScale hands them out: ``ssl={"rejectUnauthorized":true}``."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('ssl is not JSON, such as {"rejectUnauthorized":true}') from None


def _of_mapping(value: Mapping[str, Any]) -> int | None:
    for key in value:
        if key != "rejectUnauthorized" and key not in OWN_KEYS:
            raise ValueError(f"ssl has {key!r}; files belong in ssl_ca, ssl_cert and ssl_key")
    if value.keys() & OWN_KEYS:
        return None
    return VERIFY_IDENTITY if value.get("rejectUnauthorized", True) else REQUIRED


def arguments_for(mode: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with PyMySQL's arguments for ``mode``, and one context for all connections.

    PyMySQL would make a context for each connection, which takes 25 ms and more. It checks no host name
    when no CA is given; this does, against the system's CAs. Raises :class:`ValueError` for a file that
    cannot be used.
    """
    if mode == PREFERRED:
        return dict(given)
    kept = {name: value for name, value in given.items() if name not in FILES and name not in VERIFYING}
    if mode == OFF:
        return {**kept, "ssl_disabled": True}
    # PyMySQL would put a dictionary of its own in place of the context.
    asked = [VERIFYING[name] for name in VERIFYING if given.get(name)]
    return {**kept, "ssl": _context(max([mode, *asked]), *map(given.get, FILES))}


@functools.lru_cache(8)
def _context(
    mode: int, ca: str | None, cert: str | None, key: str | None, password: str | None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key, password)
    except OSError as error:
        raise ValueError(
            f"a file of ssl_ca, ssl_cert or ssl_key cannot be used: {error.strerror or type(error).__name__}"
        ) from None
    # Certificates that MySQL generates for itself fail the checks that Python 3.13 added.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode == VERIFY_IDENTITY
    context.verify_mode = ssl.CERT_REQUIRED if mode >= VERIFY_CA else ssl.CERT_NONE
    return context
