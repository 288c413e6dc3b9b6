"""Load on a server that is not this machine, which somebody has to have allowed.

This tool is built to hurt servers, and a DSN is quickly pasted. A host counts as this machine if all of its
addresses are on loopback or on one of this machine's own interfaces. Whether a server's listener is a tunnel
to somewhere else cannot be seen from here.
"""

import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError
from loadtest.settings.harm import harm_text

OPTION = "--allow-remote"
VARIABLE = "LOADTEST_ALLOW_REMOTE"
HOW = f"{OPTION}, or in plain Locust {VARIABLE}=1"
LOOKUP_S = 5.0
PASSED_ON = {VARIABLE: "1"}  # to processes of ours, once it has been agreed


def allowed_in(environment: Mapping[str, str]) -> bool:
    """Whether :data:`VARIABLE` allows it in ``environment``. Raises :class:`UsageError` for another word."""
    value = environment.get(VARIABLE, "").strip().lower()
    if value not in ("", "0", "false", "no", "1", "true", "yes"):
        raise UsageError(f"{VARIABLE} cannot be {value!r}: set it to 1, which allows load elsewhere, or to 0")
    return value in ("1", "true", "yes")


def agreed(servers: Sequence[Dsn], harm: Sequence[str], *, is_allowed: bool, how: str = HOW) -> str:
    """What will be done to those of ``servers`` that are not this machine; "" if all are.

    ``harm`` are the lines of :func:`~loadtest.settings.harm.harm_of`, ``how`` says what allows it. Nothing is
    sent to any server here. Raises :class:`UsageError` with the same text unless ``is_allowed``, and
    :class:`ServerUnavailable` for a host that nobody knows.
    """
    places = dict.fromkeys(f"{dsn.host}:{dsn.port}" for dsn in servers if is_remote(dsn.host))
    if not places:
        return ""
    text = harm_text(list(places), harm)
    if not is_allowed:
        raise UsageError(f"{text}\nNothing was sent there. If it may come to harm, allow it: {how}")
    return text


def is_remote(host: str) -> bool:
    """Whether ``host`` is another machine. Raises :class:`ServerUnavailable` if nobody knows it."""
    return not is_this_machine(addresses_of(host), own_addresses())


def is_this_machine(addresses: Iterable[str], own: Iterable[str]) -> bool:
    """Whether all of these ``addresses`` are on loopback, or among the machine's ``own``."""
    known = {_plain(address) for address in own}
    return all(
        plain.is_loopback or plain.is_unspecified or plain in known for plain in map(_plain, addresses)
    )


def _plain(address: str) -> IPv4Address | IPv6Address:
    plain = ip_address(address.partition("%")[0])
    return (plain.ipv4_mapped or plain) if isinstance(plain, IPv6Address) else plain


def addresses_of(host: str) -> list[str]:
    """All addresses of ``host``. Raises :class:`ServerUnavailable`, after 5 s if nobody answers."""
    found: list[str] = []
    wrong: list[str] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.extend(str(address[0]) for *_, address in answers)
        except (OSError, UnicodeError):
            wrong.append(f"the host {host!r} is unknown here: correct its name in the DSN")

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(LOOKUP_S)
    if not found:
        slow = f"nobody said in {LOOKUP_S:g} s where the host {host!r} is: check its name, and the DNS"
        raise ServerUnavailable(wrong[0] if wrong else slow)
    return found


def own_addresses() -> list[str]:
    """Of all interfaces of this machine, Docker's bridges included."""
    import psutil  # heavy for a command that never asks

    families = (socket.AF_INET, socket.AF_INET6)
    return [
        one.address
        for interface in psutil.net_if_addrs().values()
        for one in interface
        if one.family in families
    ]


def servers_in(environment: Mapping[str, str], *names: str) -> list[Dsn]:
    """Those that the variables ``names`` of ``environment`` have. Raises :class:`UsageError` for no DSN."""
    return [Dsn.parse(environment[name]) for name in names if environment.get(name)]
