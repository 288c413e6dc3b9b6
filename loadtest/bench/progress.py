"""Progress while a command works: text for people, or one JSON object per line for machines."""

import json
import shutil
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """The state of a running repetition. Counts are since it began."""

    arm: str
    number: str
    turn: str
    elapsed_s: float
    duration_s: float
    arrivals_count: int
    errors_count: int
    connections_count: int | None
    zombies_count: int
    done: bool = False


class ProgressLog:
    """Writes to stderr through ``say(text, err=…, nl=…)``.

    ``as_json`` makes each event a line of JSON; ``on_terminal`` lets a line of progress be overwritten.
    """

    def __init__(self, say: Callable[..., None], *, as_json: bool, on_terminal: bool) -> None:
        self._say = say
        self._as_json = as_json
        self._on_terminal = on_terminal
        self._shown: tuple[str, str, int] = ("", "", 0)  # arm, repetition, and tens of seconds

    def event(self, name: str, text: str, **values: Any) -> None:
        """``text`` is for people; with JSON, ``name`` says what happened, and ``values`` are its fields."""
        if self._as_json:
            text = json.dumps({"event": name, "at": round(time.time(), 3), **values})
        self._say(text, err=True)

    def progress(self, p: Progress) -> None:
        """One line that is overwritten on a terminal; otherwise fewer, plain lines."""
        line = (
            f"{p.arm} {p.turn}: {p.elapsed_s:.0f} of {p.duration_s:g} s, {p.arrivals_count:,} arrivals, "
            f"{p.errors_count:,} errors, {'-' if p.connections_count is None else p.connections_count} "
            f"connections, {p.zombies_count} zombies"
        )
        if self._on_terminal and not self._as_json:
            width = shutil.get_terminal_size().columns - 1
            self._say(f"\r{line[:width]:<{width}}", nl=p.done, err=True)
        elif p.done or self._is_due(p):
            self.event("repetition" if p.done else "progress", line, **p._asdict())

    def _is_due(self, p: Progress) -> bool:
        """Every ten seconds of the load, and not again and again while the last answers are waited for."""
        newest = (p.arm, p.number, int(p.elapsed_s) // 10)
        if p.elapsed_s >= p.duration_s or newest[2] == 0 or newest == self._shown:
            return False
        self._shown = newest
        return True
