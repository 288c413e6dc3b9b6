"""Which requests are answered: none that another site's page makes a browser send."""

import ipaddress
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}  # of a scheme, where an address names none


def refusal(host: str, origin: str | None, listens_on: str) -> str:
    """Why a request with these headers is refused; "" if it is accepted.

    ``host`` is its Host, ``origin`` its Origin or None, ``listens_on`` the address at which the page listens.
    Another site's page in the same browser can post to 127.0.0.1 (recognised by Origin), or let its own name
    point here (DNS rebinding, recognised by Host).
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # no address at all
        name = ""
    if is_loopback(listens_on) and not is_loopback(name):
        return (
            f"this page answers at {listens_on} only, not as {name or 'nobody'}; to serve other names listen "
            "on another address, with a login"
        )
    if origin is not None and not _is_same(origin, host):
        return (
            f"refused: the request comes from {origin}, not from this page ({host}); a proxy in front has to "
            "pass the Host header on"
        )
    return ""


def _is_same(origin: str, host: str) -> bool:
    """Whether both headers name the same place. A proxy that terminates TLS may add the default port.

    Only Host is compared, never X-Forwarded-Host and the like: without a proxy, any client could set them. A
    proxy has to pass Host on.
    """
    try:
        here, there = urlsplit(f"//{host}"), urlsplit(origin)
        port = PORTS.get(there.scheme)
        if not host or port is None or there.username is not None or here.username is not None:
            return False
        return (there.hostname, there.port or port) == (here.hostname, here.port or port)
    except ValueError:  # no port at all
        return False


def is_loopback(name: str) -> bool:
    """Whether a host's name or address, without a port, is this machine's loopback."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
