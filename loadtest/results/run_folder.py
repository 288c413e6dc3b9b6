"""The run folder: the only module that knows file names.

While a repetition runs, its rows are written as numbered parts, which are merged at its end.
"""

import csv
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loadtest.errors import UsageError
from loadtest.results.files import read_json, write_json, writing
from loadtest.results.rows import ROW_TYPES

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
        """The repetition whose folder is at ``path``."""
        return cls(Path(path))

    def create(self) -> "Repetition":
        with writing(self.path):
            self.path.mkdir(parents=True)
        return self

    def write_meta(self, **values: Any) -> None:
        """Adds ``start_s``, ``deadline_s`` or other values; earlier ones are kept."""
        write_json(self.meta, {**(read_json(self.meta) if self.meta.exists() else {}), **values})

    def read_meta(self) -> dict[str, Any]:
        return read_json(self.meta) if self.meta.exists() else {}

    def part_file(self, kind: str, worker: int, part: int) -> Path:
        """Where a worker writes part ``part``, from 1, of its rows of one ``kind`` in :data:`ROW_TYPES`."""
        return self.path / kind / f"{worker:03d}-{part:06d}.parquet"

    def whole_file(self, kind: str, worker: int) -> Path:
        """Where all rows of one ``kind`` of a worker are, once its parts have been merged."""
        return self.path / kind / f"{worker:03d}.parquet"

    def row_files(self, kind: str) -> list[Path]:
        """The files of one ``kind``, without the parts of a worker whose merged file is there."""
        files = sorted((self.path / kind).glob("*.parquet"))
        whole = {f.stem for f in files if "-" not in f.stem}
        return [f for f in files if "-" not in f.stem or f.stem.split("-")[0] not in whole]

    def packed(self) -> dict[str, bytes]:
        """The files of a worker that has its own folder, by name."""
        files = [*self.path.glob("*/*.parquet"), *self.path.glob(self.generator.name)]
        return {str(file.relative_to(self.path)): file.read_bytes() for file in sorted(files)}

    def unpack(self, files: Mapping[str, bytes]) -> None:
        """Adds ``files``, by name, of another :meth:`packed` folder. Raises :class:`ResultsError`."""
        for name, content in files.items():
            path = self.path / name
            with writing(path):
                if name == self.generator.name:
                    head, _, rows = content.partition(b"\n")
                    with path.open("ab") as file:
                        file.write(rows if file.tell() else head + b"\n" + rows)
                elif ROW_FILE.fullmatch(name):
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)

    def csv_rows(self, path: Path) -> list[dict[str, str]]:
        """Rows of ``samples`` or ``generator``, without an incomplete last line."""
        if not path.exists():
            return []
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        return list(csv.DictReader(whole.splitlines()))


class RunFolder:
    """``results/<name>``."""

    def __init__(self, path: Path, *, is_part: bool = False) -> None:
        """``is_part``: of another run folder, so never the latest run by itself."""
        self.path = path
        self._is_part = is_part
        self.run = path / "run.json"
        self.summary = path / "summary.json"
        self.report_html = path / "report.html"
        self.report_md = path / "report.md"
        self.junit = path / "junit.xml"
        self._made: list[Path] = []
        self._latest_before: Path | None = None

    @classmethod
    def create(cls, path: Path, *, is_part: bool = False) -> "RunFolder":
        """Creates a new folder, which must not exist yet; ``is_part`` as the constructor has it.

        Raises :class:`UsageError` or :class:`ResultsError`.
        """
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} exists already and is never overwritten; choose another --out")
        folder = cls(path, is_part=is_part)
        with writing(path):
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
        """Opens an existing run folder. Raises :class:`UsageError` if it is not one."""
        folder = cls(path)
        if not folder.run.is_file():
            raise UsageError(f"{path} is not a run folder: it has no run.json")
        schema = folder.read_run().get("schema")
        if schema != SCHEMA:
            raise UsageError(f"{path}: schema {schema!r} is not known to this version, which reads {SCHEMA}")
        return folder

    def _point_latest(self) -> None:
        link = self.path.parent / "latest"
        if link.exists() and not link.is_symlink():
            return
        temporary = self.path.parent / f".latest-{os.getpid()}"
        with writing(temporary):
            self._latest_before = link.readlink() if link.is_symlink() else None
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(self.path.name)
            temporary.replace(link)

    def write_run(self, values: Mapping[str, Any]) -> None:
        """Writes run.json, with ``values`` by field; from now on this is the latest run.

        Raises :class:`ResultsError`.
        """
        if not self._is_part:
            self._point_latest()
        write_json(self.run, {"schema": SCHEMA, **values})

    def read_run(self) -> dict[str, Any]:
        return read_json(self.run)

    def budgets(self) -> list[str]:
        """The budgets that the run was made with."""
        texts = self.read_run().get("budgets")
        return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []

    def add_warning(self, text: str) -> None:
        """Adds ``text`` to the warnings in run.json, once. Raises :class:`ResultsError`."""
        run = self.read_run()
        if text not in run.setdefault("warnings", []):
            run["warnings"].append(text)
            write_json(self.run, run)

    def next_repetition(self, arm: str) -> Repetition:
        """The repetition of ``arm`` after those that are there; its folder is not made yet."""
        taken = [int(r.number) for r in self.repetitions(arm)]
        return Repetition(self.path / "arms" / arm / f"{max(taken, default=0) + 1:02d}")

    def arms(self) -> list[str]:
        folder = self.path / "arms"
        return sorted(d.name for d in folder.iterdir() if d.is_dir()) if folder.is_dir() else []

    def repetitions(self, arm: str) -> list[Repetition]:
        """The repetitions of ``arm`` in order of execution."""
        folder = self.path / "arms" / arm
        found = folder.iterdir() if folder.is_dir() else iter(())
        return [
            Repetition(d)
            for d in sorted(found, key=lambda d: d.name.zfill(9))
            if d.is_dir() and re.fullmatch("[0-9]{1,9}", d.name)
        ]

    def trial_arms(self) -> list[str]:
        """The arms whose capacity was looked for, in the order in which they were asked for."""
        folder = self.path / "trials"
        return sorted(d.name for d in folder.iterdir() if d.is_dir()) if folder.is_dir() else []

    def trials(self, arm: str) -> list["RunFolder"]:
        """The trials of ``arm`` in order, each a run folder of its own."""
        folder = self.path / "trials" / arm
        found = folder.iterdir() if folder.is_dir() else iter(())
        return [RunFolder(d, is_part=True) for d in sorted(found) if (d / "run.json").is_file()]

    def next_trial(self, arm: str) -> Path:
        """Where the next trial of ``arm`` goes; the folder is not made yet."""
        return self.path / "trials" / arm / f"{len(self.trials(arm)) + 1:03d}"

    def remove(self) -> None:
        """Undoes everything, for a run that ended before it measured anything."""
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
