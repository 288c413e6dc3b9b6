"""The run folder: the only module that knows file names.

What is written is whole or not there: files are made beside their place and renamed. While a
repetition runs, its rows arrive as numbered parts; when it ends well they become one file.
"""

import csv
import json
import os
import re
import shutil
from array import array
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

from loadtest.errors import ResultsError, UsageError
from loadtest.records import ROW_TYPES

SCHEMA = 1
ROW_FILE = re.compile(rf"(?:{'|'.join(ROW_TYPES)})/\d{{3}}(?:-\d{{6}})?\.parquet")


class Repetition:
    """``arms/<strategy>/<number>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arm = path.parent.name
        self.number = path.name
        self.locust_log = path / "locust.log"
        self.samples = path / "samples.csv"
        self.generator = path / "generator.csv"
        self.meta = path / "repetition.json"

    @classmethod
    def at(cls, path: str) -> "Repetition":
        return cls(Path(path))

    def create(self) -> "Repetition":
        with _writing(self.path):
            self.path.mkdir(parents=True)
        return self

    def write_meta(self, **values: Any) -> None:
        """``start_s``, ``deadline_s`` and whatever else is known; earlier values stay."""
        write_json(self.meta, {**(read_json(self.meta) if self.meta.exists() else {}), **values})

    def read_meta(self) -> dict[str, Any]:
        return read_json(self.meta) if self.meta.exists() else {}

    def part_file(self, kind: str, worker: int, part: int) -> Path:
        return self.path / kind / f"{worker:03d}-{part:06d}.parquet"

    def whole_file(self, kind: str, worker: int) -> Path:
        return self.path / kind / f"{worker:03d}.parquet"

    def row_files(self, kind: str) -> list[Path]:
        """Without the parts of a worker that has its whole file already."""
        files = sorted((self.path / kind).glob("*.parquet"))
        whole = {f.stem for f in files if "-" not in f.stem}
        return [f for f in files if "-" not in f.stem or f.stem.split("-")[0] not in whole]

    def packed(self) -> dict[str, bytes]:
        """Rows and health of a worker that has a folder of its own, by name."""
        files = [*self.path.glob("*/*.parquet"), *self.path.glob(self.generator.name)]
        return {str(file.relative_to(self.path)): file.read_bytes() for file in sorted(files)}

    def unpack(self, files: Mapping[str, bytes]) -> None:
        """Puts another's :meth:`packed` beside what is here. Raises :class:`ResultsError`."""
        for name, content in files.items():
            path = self.path / name
            with _writing(path):
                if name == self.generator.name:
                    head, _, rows = content.partition(b"\n")
                    with path.open("ab") as file:
                        file.write(rows if file.tell() else head + b"\n" + rows)
                elif ROW_FILE.fullmatch(name):
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)

    def csv_rows(self, path: Path) -> list[dict[str, str]]:
        """Rows of ``samples`` or ``generator``; a last line that was cut off is left out."""
        if not path.exists():
            return []
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        return list(csv.DictReader(whole.splitlines()))


class RunFolder:
    """``results/<name>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path / "run.json"
        self.summary = path / "summary.json"
        self.report_html = path / "report.html"
        self.report_md = path / "report.md"
        self.junit = path / "junit.xml"
        self._made: list[Path] = []
        self._latest_before: Path | None = None

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """A new folder, never one that exists. Raises :class:`UsageError` or :class:`ResultsError`."""
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} exists already and is never overwritten; choose another --out")
        folder = cls(path)
        with _writing(path):
            folder._made = [folder for folder in (path, *path.parents) if not folder.exists()]
            try:
                path.mkdir(parents=True)
                probe = path / ".writable"
                probe.write_text("x", "utf-8")
                probe.unlink()
            except BaseException:
                folder.remove()
                raise
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing one. Raises :class:`UsageError` when it is none."""
        folder = cls(path)
        if not folder.run.is_file():
            raise UsageError(f"{path} is no run folder: it has no run.json")
        schema = folder.read_run().get("schema")
        if schema != SCHEMA:
            raise UsageError(f"{path}: schema {schema!r} is not known to this version, which reads {SCHEMA}")
        return folder

    def _point_latest(self) -> None:
        link = self.path.parent / "latest"
        if link.exists() and not link.is_symlink():
            return
        temporary = self.path.parent / f".latest-{os.getpid()}"
        with _writing(temporary):
            self._latest_before = link.readlink() if link.is_symlink() else None
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(self.path.name)
            temporary.replace(link)

    def write_run(self, values: Mapping[str, Any]) -> None:
        """From now on this is the latest run."""
        self._point_latest()
        write_json(self.run, {"schema": SCHEMA, **values})

    def read_run(self) -> dict[str, Any]:
        return read_json(self.run)

    def budgets(self) -> list[str]:
        """Those that the run was made with."""
        texts = self.read_run().get("budgets")
        return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []

    def add_warning(self, text: str) -> None:
        run = self.read_run()
        if text not in run.setdefault("warnings", []):
            run["warnings"].append(text)
            write_json(self.run, run)

    def next_repetition(self, arm: str) -> Repetition:
        taken = [int(r.number) for r in self.repetitions(arm)]
        return Repetition(self.path / "arms" / arm / f"{max(taken, default=0) + 1:02d}")

    def arms(self) -> list[str]:
        folder = self.path / "arms"
        return sorted(d.name for d in folder.iterdir() if d.is_dir()) if folder.is_dir() else []

    def repetitions(self, arm: str) -> list[Repetition]:
        """In order of execution."""
        folder = self.path / "arms" / arm
        found = folder.iterdir() if folder.is_dir() else iter(())
        return [
            Repetition(d)
            for d in sorted(found, key=lambda d: d.name.zfill(9))
            if d.is_dir() and d.name.isdigit()
        ]

    def remove(self) -> None:
        """For a run that ended before it measured anything: everything as it was before."""
        if self.path in self._made:
            shutil.rmtree(self.path, ignore_errors=True)
        link = self.path.parent / "latest"
        with suppress(OSError):
            if link.is_symlink() and link.readlink() == Path(self.path.name):
                link.unlink()
                if self._latest_before is not None:
                    link.symlink_to(self._latest_before)
        for folder in self._made[1:]:
            with suppress(OSError):  # somebody else uses it by now
                folder.rmdir()


def arrow_schema(kind: str) -> Any:
    """The pyarrow schema of a row type."""
    import pyarrow as pa

    types = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    hints = get_type_hints(ROW_TYPES[kind])
    return pa.schema([(name, types[hints[name]]) for name in ROW_TYPES[kind]._fields])  # type: ignore[attr-defined]


def write_parquet(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.tmp")
    with _writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)


def read_rows(repetition: Repetition, kind: str) -> tuple[Any, list[str]]:
    """All rows of one kind as a pyarrow table with today's columns, and what could not be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, tables, warnings = arrow_schema(kind), [], []
    for file in repetition.row_files(kind):
        try:
            table = pq.read_table(file)
            tables.append(table.select(schema.names).cast(schema))
        except (OSError, KeyError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            warnings.append(f"{repetition.arm}/{repetition.number}: {kind}/{file.name} left out: {reason}")
    return _newest(kind, pa.concat_tables(tables) if tables else schema.empty_table()), warnings


def _newest(kind: str, table: Any) -> Any:
    """A connection's row is written again when it changes: only the newest one of each is meant."""
    import pyarrow as pa

    if kind != "connections" or len(table) == 0:
        return table
    columns = [table.column(name).to_pylist() for name in ("worker", "server_id", "opened_s")]
    newest = {key: row for row, key in enumerate(zip(*columns, strict=True))}
    if len(newest) == len(table):
        return table
    rows = array("q", sorted(newest.values()))
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)]))


def merge_parts(repetition: Repetition, kind: str, worker: int) -> None:
    """Makes one file of a worker's parts. Cut off at any point, what is read stays the same."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = sorted((repetition.path / kind).glob(f"{worker:03d}-*.parquet"))
    tables = [pq.ParquetFile(part).read() for part in parts]  # read_table would import pandas
    merged = pa.concat_tables(tables) if tables else pa.Table.from_batches([], arrow_schema(kind))
    write_parquet(repetition.whole_file(kind, worker), _newest(kind, merged))
    for part in parts:
        part.unlink()


def write_json(path: Path, value: Any) -> None:
    """Atomically, NaN refused: unknown is null."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path, temporary):
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", "utf-8")
        temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path, temporary):
        # A name on disk need not be text.
        temporary.write_text(text, "utf-8", errors="backslashreplace")
        temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Raises :class:`UsageError` with the path for what is not a JSON object."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} cannot be read: it holds no JSON object")
    return value


class _writing:  # noqa: N801
    """Turns an OSError into :class:`ResultsError` with what to do about it; leaves nothing half-written."""

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
            raise ResultsError(
                f"cannot write {self._path}: {error.strerror or error}; free some space, or choose a "
                "folder that you may write to with --out"
            ) from None
