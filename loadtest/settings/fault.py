"""What may be done to a server or a network while a load is on: ``NAME[:key=value…]@SECOND[+DURATION]``."""

import re
from collections.abc import Mapping
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from loadtest.errors import UsageError
from loadtest.settings.durations import duration_s
from loadtest.settings.nearest import nearest

FORM = "NAME[:key=value…]@SECOND[+DURATION], such as kill@5+2 or connections:limit=30@10+5"


class Needs(Enum):
    """What carrying a fault out takes."""

    PROCESS = "the server's process"  # so a server that we started
    RIGHTS = "an administrator's account"
    SECOND = "two servers, which loadtest starts, and a relay between them and the functions"
    DISK = "a server that loadtest starts in Docker"
    LOAD = "nothing but the load itself"
    WORKERS = "--workers or --processes, two at least"
    RELAY = "a relay between the functions and the server"


class Value(NamedTuple):
    """A number that a fault takes, with its bounds."""

    default: float
    least: float
    most: float
    about: str
    is_whole: bool = False


class Kind(NamedTuple):
    """One fault. ``lasts_s`` is its usual duration; 0 for one that is over as soon as it is done.

    ``is_told``: processes of functions hear of it from the bench, which those elsewhere cannot.
    """

    needs: Needs
    lasts_s: float
    about: str
    values: Mapping[str, Value] = {}
    is_told: bool = False

    @property
    def is_relayed(self) -> bool:
        """Whether functions reach the server by a relay."""
        return self.needs in (Needs.RELAY, Needs.SECOND)


KINDS: dict[str, Kind] = {
    "kill": Kind(Needs.PROCESS, 2.0, "SIGKILL; the server is started again after DURATION"),
    "stop": Kind(Needs.PROCESS, 2.0, "an orderly shutdown; the server is started again after DURATION"),
    "freeze": Kind(Needs.PROCESS, 2.0, "the server is suspended (SIGSTOP); its connections stay"),
    "slow": Kind(
        Needs.PROCESS, 5.0, "most of the server's CPU is taken away",
        {"share": Value(0.2, 0.05, 0.95, "of its time that it may run")},
    ),
    "connections": Kind(
        Needs.RIGHTS, 5.0, "max_connections is lowered, and put back",
        {"limit": Value(30, 1, 100_000, "max_connections meanwhile", is_whole=True)},
    ),
    "kill-connections": Kind(
        Needs.RIGHTS, 0.0, "KILL of some of the functions' connections",
        {"share": Value(0.3, 0.01, 1.0, "of the connections")},
    ),
    "lease": Kind(
        Needs.RIGHTS, 5.0, "a shorter global wait_timeout, for connections that are opened meanwhile",
        {"timeout_s": Value(1, 1, 28_800, "wait_timeout meanwhile, in seconds", is_whole=True)},
    ),
    "read-only": Kind(Needs.RIGHTS, 3.0, "the server refuses writes (read_only), as a demoted writer does"),
    "rotate-password": Kind(
        Needs.RIGHTS, 0.0, "the functions' account gets another password; the old one holds for DURATION",
        is_told=True,
    ),
    "deploy": Kind(
        Needs.LOAD, 0.0, "all containers are replaced, as by a deployment of another version", is_told=True
    ),
    "monitor": Kind(
        Needs.LOAD, 2.0, "the run's own monitor is killed (SIGKILL), and started again after DURATION"
    ),
    "worker": Kind(
        Needs.WORKERS, 0.0, "a worker is killed (SIGKILL): the repetition does not count, and says why"
    ),
    "dns": Kind(
        Needs.LOAD, 3.0, "the server's name cannot be resolved (EAI_AGAIN), by whoever connects meanwhile",
        is_told=True,
    ),
    "disk-full": Kind(Needs.DISK, 3.0, "the server's disk is full: what has to grow, fails (1114)"),
    "failover": Kind(
        Needs.SECOND, 2.0, "the server turns read-only, and after DURATION its address leads to a fresh one"
    ),
    "delay": Kind(
        Needs.RELAY, 5.0, "every answer comes later",
        {"ms": Value(50, 1, 60_000, "milliseconds later")},
    ),
    "bandwidth": Kind(
        Needs.RELAY, 5.0, "answers come slowly",
        {"kbit_per_s": Value(256, 8, 1_000_000, "kbit/s for all connections together")},
    ),
    "reset": Kind(Needs.RELAY, 0.0, "all connections end with a TCP reset, and new ones for DURATION"),
    "black-hole": Kind(
        Needs.RELAY, 3.0, "nothing gets through, and nobody is told: a connection that loses a packet "
        "stays dead",
    ),
    "half-close": Kind(Needs.RELAY, 0.0, "functions see the end of all connections, the server does not"),
    "cut": Kind(
        Needs.RELAY, 5.0, "answers come in two pieces",
        {"ms": Value(200, 1, 60_000, "milliseconds between them")},
    ),
}  # fmt: skip


class Fault(NamedTuple):
    """One fault of a run. ``at_s`` counts from the start of the load."""

    text: str
    name: str
    at_s: float
    duration_s: float
    values: Mapping[str, float]

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def until_s(self) -> float:
        """When its undoing begins."""
        return self.at_s + self.duration_s


def parse_fault(text: str) -> Fault:
    """``text`` as the module's first line has it. Raises :class:`UsageError`."""
    match = re.fullmatch(r"([a-z-]+)((?::[^:@]*)*)@([^+]+)(?:\+(.+))?", text.strip())
    if match is None:
        raise UsageError(f"fault {text!r} cannot be read: write {FORM}")
    name, keys, at, lasts = match.groups()
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"fault {text!r}: there is no {name!r}{nearest(name, KINDS)}; see loadtest faults")
    values = {key: value.default for key, value in kind.values.items()}
    given = [_value(text, kind, pair) for pair in keys.split(":")[1:]]
    if len({key for key, _ in given}) < len(given):
        raise UsageError(f"fault {text!r}: it has a value twice")
    values |= dict(given)
    return Fault(
        text=text.strip(),
        name=name,
        at_s=_seconds(text, at),
        duration_s=_seconds(text, lasts) if lasts is not None else kind.lasts_s,
        values=values,
    )


def faults_in(texts: list[str], duration_s: float) -> list[Fault]:
    """The faults of a run of ``duration_s`` seconds, by time; of ``texts`` each is one.

    Raises :class:`UsageError` for one that would not end before the load, or overlap another one.
    """
    found = sorted((parse_fault(text) for text in texts), key=lambda fault: fault.at_s)
    for fault in found:
        if fault.until_s >= duration_s:
            raise UsageError(
                f"fault {fault.text!r} would last until second {fault.until_s:g} of a load of {duration_s:g} "
                "s: nothing would be seen of the recovery"
            )
    for before, after in pairwise(found):
        if after.at_s < before.until_s or after.at_s == before.at_s:
            raise UsageError(
                f"faults {before.text!r} and {after.text!r} overlap: one at a time, or nobody can tell which "
                "of them did what"
            )
    return found


def _value(text: str, kind: Kind, pair: str) -> tuple[str, float]:
    key, is_pair, number = pair.partition("=")
    known = kind.values.get(key)
    if not is_pair or known is None:
        takes = ", ".join(f"{name}=NUMBER" for name in kind.values) or "no values"
        raise UsageError(f"fault {text!r}: {pair!r} is none of its values; it takes {takes}")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not known.least <= value <= known.most or (known.is_whole and not value.is_integer()):
        what = "a whole number" if known.is_whole else "a number"
        raise UsageError(
            f"fault {text!r}: {key} cannot be {number!r}: {what} from {known.least:g} to {known.most:g}"
        )
    return key, value


def _seconds(text: str, word: str) -> float:
    try:
        return duration_s(word)
    except UsageError:
        raise UsageError(
            f"fault {text!r}: {word!r} is no time: write seconds, 500ms, 1.5s or 2m (in all: {FORM})"
        ) from None
