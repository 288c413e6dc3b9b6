"""Which strategies can run on this machine, found before anything starts. npm installs what it can."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from loadtest.bench import locust_command, npm
from loadtest.errors import MissingHere, UsageError
from loadtest.settings.plan import Settings, settings_in
from loadtest.settings.strategy import STRATEGIES, arm_name, parse

IMPORT_S = 60.0  # for a stranger's module, and for a real function's runtime to say what it has


class Checked(NamedTuple):
    """The ``strategies`` that can run here, one at least; why each of the others cannot, a sentence each."""

    strategies: list[str]
    left_out: list[str]


def checked(strategies: Sequence[str], settings: Settings, note: Callable[[str], None]) -> Checked:
    """Checks all strategies, then has npm install what they lack.

    Args:
        strategies: texts of the command line, such as ``a:0.3+b:0.7``.
        settings: of the run.
        note: told what is being installed.

    Raises:
        UsageError: two strategies share a name, one makes no sense or cannot be imported, what one needs
            could not be installed, or none is left. A user's module is imported in a separate process, which
            has :data:`IMPORT_S` seconds.
    """
    names = [arm_name(text) for text in strategies]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two strategies are called {twice!r}: name them, as in base=package.module:attr")
    # All of them first: nothing is installed for a run that cannot be.
    problems = {text: _problem(text, settings) for text in strategies}
    problems = {
        text: problem and _after_npm(text, settings, problem, note) for text, problem in problems.items()
    }
    missing = {text: problem for text, problem in problems.items() if problem is not None}
    left = [text for text in strategies if text not in missing]
    if not left:
        raise next(iter(missing.values()))
    return Checked(left, [_sentence(arm_name(text), problem) for text, problem in missing.items()])


def _sentence(arm: str, problem: MissingHere) -> str:
    return f"{arm} was not run: {str(problem).removeprefix(f'strategy {arm!r}: ')}"


def _problem(text: str, settings: Settings) -> MissingHere | None:
    """What a strategy lacks on this machine. Raises :class:`UsageError` where no machine could run it."""
    if all(part.spec in STRATEGIES for part in parse(text)):
        return None
    # -P: nothing of the folder that we are in goes before Python's own modules
    words = [sys.executable, "-P", "-m", "loadtest.swarm.check_strategy", text]
    try:
        tried = subprocess.run(
            [*words, msgspec.json.encode(settings_in(settings)).decode()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=locust_command.environment(Path.home(), {}),
            timeout=IMPORT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"strategy {text!r} was not imported in {IMPORT_S:g} s") from None
    if tried.returncode == MissingHere.check_code:
        return MissingHere(*json.loads(tried.stdout.splitlines()[-1]))
    if tried.returncode:
        said = tried.stderr.strip().splitlines() or [f"its import ended Python ({tried.returncode})"]
        raise UsageError(f"strategy {text!r}: {said[-1]}".replace(f"strategy {text!r}: strategy", "strategy"))
    return None


def _after_npm(
    text: str, settings: Settings, problem: MissingHere, note: Callable[[str], None]
) -> MissingHere | None:
    """What a strategy still lacks once npm has installed what it can, folder after folder."""
    left: MissingHere | None = problem
    done = set()
    while left is not None and left.npm_folder and left.npm_folder not in done:
        folder = left.npm_folder
        done.add(folder)
        if not npm.is_here():
            return MissingHere(f"{left}; npm is not installed (Debian: apt-get install npm)")
        with npm.alone_in(folder, note):
            left = _problem(text, settings)  # another run may have installed it meanwhile
            if left is not None and left.npm_folder == folder:
                npm.install(folder, left.packages, note)
                left = _problem(text, settings)
    return left
