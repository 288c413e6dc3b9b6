"""Files that are complete or absent: written to a temporary name, then renamed."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from loadtest.errors import UsageError, cannot_write


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as JSON, atomically. NaN is refused with :class:`ValueError`: unknown is null.

    Raises :class:`ResultsError` where the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path, temporary):
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", "utf-8")
        temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` in UTF-8, atomically. Raises :class:`ResultsError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path, temporary):
        # A name on disk need not be text.
        temporary.write_text(text, "utf-8", errors="backslashreplace")
        temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises :class:`UsageError` with the path for anything else.

    Whole numbers beyond 64 bits are floats, as in most languages: those of 400 digits are infinite.
    """
    try:
        value = json.loads(path.read_text("utf-8"), parse_int=_whole)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} cannot be read: it holds no JSON object")
    return value


def _whole(digits: str) -> int | float:
    number = float(digits)
    return int(digits) if abs(number) < 2**63 else number


class writing:  # noqa: N801
    """Turns an OSError into :class:`ResultsError` with advice, and removes a half-written file."""

    def __init__(self, path: Path, temporary: Path | None = None) -> None:
        self._path = path
        self._temporary = temporary

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: Any, error: BaseException | None, _traceback: Any) -> None:
        if error is not None and self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(self._path, error) from None
