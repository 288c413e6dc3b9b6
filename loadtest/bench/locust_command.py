"""Locust's command lines and environment: nothing is left to its own configuration files."""

import os
import site
import sys
from collections.abc import Mapping
from math import ceil
from pathlib import Path

from loadtest.bench.process_group import free_port
from loadtest.packaged import PACKAGE, packaged
from loadtest.settings.plan import Settings
from loadtest.settings.plan_options import options


def users_count(settings: Settings) -> int:
    """Locust's users: clients of the open model, containers of the closed one."""
    if settings.model == "closed":
        return settings.containers
    return max(1, ceil(settings.rate / settings.rate_per_user))


def rate_per_user(settings: Settings) -> float:
    """Arrivals per second of each, which together make the rate that was asked for."""
    return settings.rate_per_user if settings.model == "closed" else settings.rate / users_count(settings)


def command(settings: Settings, strategy: str, processes: int) -> list[str]:
    """The complete command line for a headless test of ``strategy`` in so many ``processes``."""
    how = ["--headless", "--exit-code-on-error", "0", "--loglevel", "INFO", "--only-summary"]
    return _locust(settings, strategy, processes, how)


def master_command(settings: Settings, strategy: str, workers_count: int, host: str, port: int) -> list[str]:
    """The same for the master of workers that are started elsewhere; it listens on ``host`` and ``port``.

    ``strategy`` is a text of the command line.
    """
    return [
        *command(settings, strategy, 1), "--master", "--expect-workers", str(workers_count),
        "--master-bind-host", host, "--master-bind-port", str(port),
    ]  # fmt: skip


def worker_command(host: str, port: int) -> list[str]:
    """The complete command line of a worker for the master on ``host`` and ``port``, of either model."""
    return [
        sys.executable, "-m", "locust", "-f", str(packaged("locustfiles") / "workers.py"), "--worker",
        "--master-host", host, "--master-port", str(port), "--exit-code-on-error", "0", "--loglevel", "INFO",
    ]  # fmt: skip


def page_command(settings: Settings, strategy: str, processes: int, host: str, port: int) -> list[str]:
    """The complete command line for a test with Locust's page, which listens on ``host`` and ``port``.

    ``strategy`` is the one that the form starts with, ``processes`` the number of Locust's processes.
    """
    how = ["--web-host", host, "--web-port", str(port), "--exit-code-on-error", "0", "--loglevel", "INFO"]
    return _locust(settings, strategy, processes, how)


def _locust(settings: Settings, strategy: str, processes: int, how: list[str]) -> list[str]:
    count = users_count(settings)
    locustfile = packaged("locustfiles") / ("clients.py" if settings.model == "open" else "containers.py")
    words = [
        sys.executable, "-m", "locust", "-f", str(locustfile), *how, "--users", str(count),
        "--spawn-rate", str(count), "--strategy", strategy,
    ]  # fmt: skip
    values = {o.name: getattr(settings, o.field) for o in options()}
    values["rate_per_user"] = rate_per_user(settings)
    for option in options():
        if option.name in ("model", "rate", "containers"):
            continue
        words.append(f"{option.flag}={option.text(values[option.name])}")
    if processes > 1:
        port = str(free_port())
        words += [
            "--processes", str(processes), "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
            "--master-host", "127.0.0.1", "--master-port", port,
        ]  # fmt: skip
    return words


def environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Our environment variables without Locust's settings, with ``more`` over them and ``home`` as HOME.

    Locust reads LOCUST_* and ~/.locust.conf, and refuses unknown settings. A user's strategies are found from
    the folder in which the command was started.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "LOADTEST_"))}
    # The package itself too, so that a checkout works from any folder; user sites hang on HOME.
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = [str(PACKAGE.parent), *(str(Path(path).absolute()) for path in given)]
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
