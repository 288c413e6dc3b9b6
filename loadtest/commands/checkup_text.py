"""What `loadtest doctor` says of a server, in plain words, and a scenario like it. Returns text."""

import time

from loadtest.server.checkup import Checkup, Held

GROUPS_COUNT = 20  # lines of the table
NAMED_COUNT = 50  # zombies that are named by their ids


def checkup_text(found: Checkup, asleep_s: float, server: str, now_s: float | None = None) -> str:
    """The whole text, for people.

    Args:
        found: what the server said.
        asleep_s: what has slept for so long is probably a zombie.
        server: the DSN without its password, as the user wrote it.
        now_s: the wall clock's time, for "since"; None: now.
    """
    held, limit = found.held, found.max_connections
    asleep_count = sum(one.is_asleep for one in held)
    lines = [
        _line("server", f"{found.server}, up for {_span(found.counters.get('Uptime', 0))}"),
        _line("limit", f"{limit:,} connections (max_connections); {_peak(found)}"),
        _line("now", f"{len(held):,} connected beside us, {asleep_count:,} of them asleep"),
        _line("refused", _refused(found)),
        _line("timeouts", _timeouts(found)),
        "",
        f"{'account':20} {'host':28} {'connections':>11} {'asleep':>7}  {'longest asleep'}",
    ]
    groups = found.groups()
    lines += [
        f"{group.account[:20]:20} {group.host[:28]:28} {group.count:11,} {group.asleep_count:7,}  "
        f"{_span(group.oldest_s) if group.asleep_count else ''}".rstrip()
        for group in groups[:GROUPS_COUNT]
    ]
    if len(groups) > GROUPS_COUNT:
        lines.append(f"… and {len(groups) - GROUPS_COUNT} more")
    zombies = found.zombies(asleep_s)
    lines += ["", *_zombies(zombies, asleep_s, time.time() if now_s is None else now_s)]
    lines += ["", *_advice(found, zombies, server)]
    return "\n".join(lines) + "\n"


def _line(name: str, text: str) -> str:
    return f"{name:9} {text}"


def _peak(found: Checkup) -> str:
    peak_count = found.peak_count
    if peak_count >= found.max_connections:
        return "it has been full since its start"
    return f"at most {peak_count:,} at once since its start ({peak_count / found.max_connections:.0%})"


def _refused(found: Checkup) -> str:
    count = found.counters.get("Connection_errors_max_connections")
    if count is None:
        return "how many connects it refused because it was full, it does not say"
    if not count:
        return "no connect since its start because it was full"
    return f"{count:,} connects since its start, because it was full (1040)"


def _timeouts(found: Checkup) -> str:
    seconds = int(found.variables.get("wait_timeout", 0))
    return f"what sleeps is ended by the server after {_span(seconds)} (wait_timeout)"


def _zombies(zombies: list[Held], asleep_s: float, now_s: float) -> list[str]:
    if not zombies:
        return [f"No connection has slept for {_span(asleep_s)} or longer: probably no zombies."]
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now_s - zombies[0].for_s))
    are = "connection has" if len(zombies) == 1 else "connections have"
    told = f"{len(zombies):,} {are} slept for {_span(asleep_s)} or longer, the oldest since {since}"
    lines = [f"{told}: probably zombies, unless a client keeps them on purpose, as a pool does."]
    of: dict[tuple[str, str], list[Held]] = {}
    for one in zombies:
        of.setdefault((one.account, one.host), []).append(one)
    for (account, host), own in of.items():
        ids = ", ".join(str(one.id) for one in own[:NAMED_COUNT])
        more = f" and {len(own) - NAMED_COUNT} more" if len(own) > NAMED_COUNT else ""
        lines.append(f"  {account} from {host}: {ids}{more}")
    return lines


def _advice(found: Checkup, zombies: list[Held], server: str) -> list[str]:
    lines = []
    if not found.sees_all:
        total = found.counters.get("Threads_connected", 0)
        lines.append(
            f"This account sees its own connections only, {len(found.held) + 1:,} of {total:,}: grant it "
            "PROCESS to see all."
        )
    pressure = found.peak_count / found.max_connections
    if zombies and len(zombies) >= 0.1 * found.max_connections:
        lines.append(
            f"Zombies hold {len(zombies) / found.max_connections:.0%} of all connections. A lease ends them: "
            "loadtest.manager sets one for each connection, or lower wait_timeout for the functions' account."
        )
    if pressure > 0.8:
        lines.append("More than 80% of the connections have been in use: the next spike may not fit.")
    lines.append(f"To try it: loadtest doctor {server} --scenario > mine.toml && loadtest bench mine.toml")
    return lines


def scenario_text(found: Checkup) -> str:
    """A scenario as TOML whose containers hold as many connections at once as the server has seen."""
    containers_count = max(1, found.peak_count)
    return (
        f'description = "as many connections at once as {found.server} has seen: {found.peak_count:,} of '
        f'{found.max_connections:,}"\n'
        'strategies = ["cached", "managed"]\n'
        'model = "closed"\n'
        f"containers = {containers_count}\n"
        f"max-connections = {found.max_connections}\n"
        'duration = "20s"\n'
        "reap-probability = 0\n"
        "repetitions = 1\n"
    )


def _span(seconds: float) -> str:
    """``3 d 4 h``: the two largest units."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    left = int(seconds)
    for name, size in units:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size:,} {name}")
            left %= size
    return " ".join(parts) or f"{seconds:g} s"
