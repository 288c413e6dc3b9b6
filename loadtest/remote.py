"""Whether a server is on this machine. A load on any other has to be allowed, since it is meant to hurt."""

import ipaddress
import socket
from collections.abc import Collection

from loadtest.dsn import Dsn
from loadtest.errors import UsageError

VARIABLE = "LOADTEST_ALLOW_REMOTE"
HARM = (
    "It opens connections until the server refuses callers, its own and everybody else's (1040), leaves some "
    "of them behind on purpose, and creates and drops the tables loadtest_rows and loadtest_ledger there."
)


def check_remote(dsn: Dsn, load: str, *, is_allowed: bool) -> str:
    """What to tell the user before a load on the server of ``dsn``; "" if that is on this machine.

    ``load`` says how large it is. A name that cannot be resolved is left to whoever connects. Raises
    :class:`UsageError` for a server elsewhere, unless it ``is_allowed``.
    """
    found = addresses_of(dsn.host)
    if is_here(found, own_addresses()):
        return ""
    where = dsn.host if found == {dsn.host} else f"{dsn.host} ({', '.join(sorted(found))})"
    summary = f"{where} is not this machine, and this load is meant to hurt a server: {load}. {HARM}"
    if not is_allowed:
        raise UsageError(f"{summary} If that may be done there, add --allow-remote, or set {VARIABLE}=1")
    return summary


def is_here(found: Collection[str], own: Collection[str]) -> bool:
    """Whether all addresses ``found`` are loopback ones, or among this machine's ``own``; pure."""
    return all(ipaddress.ip_address(address).is_loopback or address in own for address in found)


def addresses_of(host: str) -> set[str]:
    """The addresses of ``host``; none for a name that cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {_plain(str(address[0])) for *_, address in found}


def own_addresses() -> set[str]:
    """Of all interfaces of this machine, bridges of containers among them."""
    import psutil  # late, for a command that only says its help

    kinds = (socket.AF_INET, socket.AF_INET6)
    found = (entry for entries in psutil.net_if_addrs().values() for entry in entries)
    return {_plain(entry.address) for entry in found if entry.family in kinds}


def _plain(address: str) -> str:
    """Without the interface of a link-local address, and an IPv4 address as such."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip)
