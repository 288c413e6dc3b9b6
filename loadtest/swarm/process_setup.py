"""What a Locust process sets up from its environment variables: server, folder, open files."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.fleet.real.function import function_of
from loadtest.fleet.strategies import check
from loadtest.results.provenance import machine
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.settings.plan import Settings
from loadtest.settings.prices import prices_in
from loadtest.settings.strategy import arm_name, parse
from loadtest.ways import proxies_in

log = logging.getLogger("loadtest")


def results_path(arm: str) -> Path:
    """``LOADTEST_OUT``, or a folder in ``LOADTEST_RESULTS`` named after time and arm.

    It does not exist yet.
    """
    given = os.environ.get("LOADTEST_OUT")
    home = Path(os.environ.get("LOADTEST_RESULTS") or "results")
    return free_path(Path(given) if given else home / f"{time.strftime('%Y%m%d-%H%M%S')}-{arm}")


def make_folder(
    settings: Settings, strategy: str, described: dict[str, Any], t0_monotonic_s: float
) -> tuple[RunFolder | None, Repetition]:
    """The run folder and its first repetition. A bench has created both already: then the first is None.

    ``strategy`` is a text of the command line, ``described`` the server as :func:`describe` returns it, and
    ``t0_monotonic_s`` is ``time.monotonic()`` at the run's t0. Raises :class:`UsageError` or
    :class:`ResultsError` where the folder cannot be.
    """
    given = os.environ.get("LOADTEST_REPETITION")
    if given:
        return None, Repetition.at(given)
    path = results_path(arm_name(strategy))
    folder = RunFolder.create(path)
    folder.write_run(
        {
            "settings": {**msgspec.to_builtins(settings), "scenario": "by hand", "strategies": [strategy]},
            "server": described,
            "environment": machine(),
            "prices": msgspec.to_builtins(prices_in("")),
            "t0": time.time() - (time.monotonic() - t0_monotonic_s),
            "warnings": described.get("warnings", []),
        }
    )
    log.info("rows go to %s", path)
    return folder, folder.next_repetition(arm_name(strategy)).create()


def describe(tls: str) -> dict[str, Any]:
    """Version and size of the server, after creating its tables. A bench has done that already.

    ``tls``: on or off, for the functions.

    Raises :class:`ServerUnavailable` or :class:`UsageError`.
    """
    known = os.environ.get("LOADTEST_SERVER")
    if known:
        return dict(json.loads(known))
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.server.preparation", tls],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        kind = UsageError if done.returncode == UsageError.exit_code else ServerUnavailable
        raise kind(done.stderr.strip() or "the server could not be prepared")
    return dict(json.loads(done.stdout))


def audit(repetition: Repetition) -> dict[str, int]:
    """What became of the ledger's writes in ``repetition``. Raises :class:`ServerUnavailable`."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.server.ledger", str(repetition.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerUnavailable(done.stderr.strip() or "the ledger could not be audited")
    return dict(json.loads(done.stdout))


def check_strategy(text: str, settings: Settings) -> None:
    """Raises :class:`UsageError` if the strategy ``text`` cannot run with these ``settings``."""
    check(parse(text), users_modules(), settings)


def functions_of(text: str) -> dict[str, dict[str, Any]]:
    """What the files of real functions say that the report needs, by the names of the parts of ``text``."""
    functions = [function_of(part, users_modules()) for part in parse(text) if part.is_real]
    return {one.name: {"memory_mb": one.memory_mb, "tags": one.tags} for one in functions}


def check_ways(text: str) -> None:
    """Raises :class:`UsageError` if nobody has told where the proxy is through which ``text`` goes."""
    missing = {part.via for part in parse(text)} - {"", *proxies_in(os.environ)}
    if missing:
        raise UsageError(
            f"strategy {text!r} goes through {' and '.join(sorted(missing))}, which only `loadtest bench` "
            "and `loadtest web` put in front of the server (--via)"
        )


def users_modules() -> str:
    """The folder of a user's own strategies; "" if Python's path is enough."""
    return os.environ.get("LOADTEST_STRATEGIES_FROM", "")


def free_path(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that does not exist."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free
