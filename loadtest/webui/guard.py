"""Who may ask the page for something: not what another site's page makes a browser ask."""

import ipaddress
from urllib.parse import urlsplit


def refusal(host: str, origin: str | None, listens_on: str) -> str:
    """Why a request with these headers is refused; "" when it is welcome.

    A page of another site that is open in the same browser can post to 127.0.0.1 (Origin tells), or
    make its own name point here (DNS rebinding; Host tells).
    """
    name = urlsplit(f"//{host}").hostname or ""
    if is_loopback(listens_on) and not is_loopback(name):
        return (
            f"this page answers at {listens_on} only, not as {name or 'nobody'}; to serve other names listen "
            "on another address, with a login"
        )
    if origin is not None and urlsplit(origin).netloc != host:
        return f"refused: the request comes from {origin}, not from this page"
    return ""


def is_loopback(name: str) -> bool:
    """Of a host's name or address, without its port."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
