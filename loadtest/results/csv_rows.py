"""CSV files that grow while a repetition runs: appending rows, and reading the newest ones cheaply."""

import csv
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from loadtest.results.rows import GeneratorSecond, Sample


class CsvAppender:
    """Appends rows, each of them whole on disk when :meth:`append` returns."""

    def __init__(self, path: Path, row_type: type[Sample] | type[GeneratorSecond]) -> None:
        self.path = path
        self._file: TextIO = path.open("a", encoding="utf-8", newline="", buffering=1)
        # Workers share the file and open it at the same moment: one of them writes the header.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        if os.fstat(self._file.fileno()).st_size == 0:
            self._write(row_type._fields)
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def append(self, row: tuple[Any, ...]) -> None:
        """``row`` has a value for each column. None and NaN are unknown, and become empty fields."""
        self._write("" if value is None or value != value else value for value in row)

    def _write(self, values: Iterable[Any]) -> None:
        csv.writer(self._file, lineterminator="\n").writerow(list(values))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def last_rows(path: Path, columns: tuple[str, ...], bytes_count: int = 4096) -> Iterator[dict[str, str]]:
    """The newest complete rows of a CSV that is still growing, oldest first, for live progress.

    Only the last ``bytes_count`` bytes are read, and rows whose number of fields is not that of ``columns``
    are left out. Nothing if there is no such file.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - bytes_count))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return
    for line in text[: text.rfind("\n") + 1].splitlines()[1:]:
        values = next(csv.reader([line]))
        if len(values) == len(columns) and values[0] != columns[0]:
            yield dict(zip(columns, values, strict=True))
