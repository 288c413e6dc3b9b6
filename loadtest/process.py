"""Locust in a process group of its own: started neutrally, waited for whole, ended whole."""

import os
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from math import ceil
from pathlib import Path

import psutil

from loadtest.settings import Settings, duration_text, options

END_S = 3.0


def shipped(name: str) -> Path:
    """A file of the checkout that this package lies in, else the copy in the wheel."""
    beside = Path(__file__).parent.parent / name
    if beside.exists() and (Path(__file__).parent.parent / "pyproject.toml").exists():
        return beside
    return Path(str(resources.files("loadtest") / "shipped" / name))


def users(settings: Settings) -> tuple[int, float]:
    """Locust users, and the rate of each that together makes the rate that was asked for."""
    if settings.model == "closed":
        return settings.containers, settings.rate_per_user
    count = max(1, ceil(settings.rate / settings.rate_per_user))
    return count, settings.rate / count


def command(settings: Settings, strategy: str, processes: int) -> list[str]:
    """The whole command line: nothing is left to Locust's configuration files."""
    how = ["--headless", "--exit-code-on-error", "0", "--loglevel", "INFO", "--only-summary"]
    return _locust(settings, strategy, processes, how)


def page_command(settings: Settings, strategy: str, processes: int, host: str, port: int) -> list[str]:
    """The same with Locust's page."""
    how = ["--web-host", host, "--web-port", str(port), "--exit-code-on-error", "0", "--loglevel", "INFO"]
    return _locust(settings, strategy, processes, how)


def _locust(settings: Settings, strategy: str, processes: int, how: list[str]) -> list[str]:
    count, rate_per_user = users(settings)
    locustfile = shipped("locustfiles") / ("clients.py" if settings.model == "open" else "containers.py")
    words = [
        sys.executable, "-m", "locust", "-f", str(locustfile), *how, "--users", str(count),
        "--spawn-rate", str(count), "--strategy", strategy,
    ]  # fmt: skip
    values = {o.name: getattr(settings, o.field) for o in options()}
    values["rate_per_user"] = rate_per_user
    for option in options():
        if option.name in ("model", "rate", "containers"):
            continue
        value = values[option.name]
        text = duration_text(value) if option.kind == "duration" else str(value)
        words.append(f"--{option.name.replace('_', '-')}={text}")
    if processes > 1:
        port = str(free_port())
        words += [
            "--processes", str(processes), "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
            "--master-host", "127.0.0.1", "--master-port", port,
        ]  # fmt: skip
    return words


def environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Ours without Locust's settings: it reads LOCUST_* and ~/.locust.conf, and refuses what it does
    not know. A user's own strategies are found from where the command was started."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "LOADTEST_"))}
    # The package itself too, so that a checkout works from any folder; user sites hang on HOME.
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = [str(Path(__file__).parent.parent), *(str(Path(path).absolute()) for path in given)]
    user_base = site.getuserbase()
    return {
        **kept,
        "HOME": str(home),
        "PYTHONUSERBASE": user_base,
        "PYTHONPATH": os.pathsep.join(paths),
        "LOADTEST_STRATEGIES_FROM": os.environ.get("LOADTEST_STRATEGIES_FROM") or str(Path.cwd()),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def start(words: Sequence[str], folder: Path, log: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """In a session of its own, so that a terminal's Ctrl-C reaches us alone."""
    with log.open("ab") as output:
        return subprocess.Popen(
            list(words),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]", *, hurry: Callable[[], bool] = lambda: False) -> None:
    """The whole group: asked first, then made to, at once when in a hurry."""
    if process.poll() is None:
        process.terminate()
        until = time.monotonic() + END_S
        while process.poll() is None and time.monotonic() < until and not hurry():
            time.sleep(0.05)
    wait_for_group(process.pid, 0.0 if hurry() else END_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_group(group: int, patience_s: float) -> bool:
    """Whether everybody of the group is gone: Locust's master ends before its workers do."""
    until = time.monotonic() + patience_s
    while alive(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def alive(group: int) -> bool:
    """Whether a group has members that run; dead ones that nobody has waited for do not count."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def complaint(log: Path) -> str:
    """What our own code in Locust said last that was wrong, "" when nothing."""
    marker, lines = "/ERROR/loadtest: ", []
    with suppress(OSError):
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if marker in line]
    return lines[-1].partition(marker)[2].strip() if lines else ""


def last_line(log: Path) -> str:
    """What a process said last, for a message."""
    with suppress(OSError):
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        if lines:
            return lines[-1].strip()
    return "it said nothing"
