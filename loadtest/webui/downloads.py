"""Reports, rows and comparisons of the page's tests, made by separate commands.

A test is requested by its number, so that no request can name a file.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask

if TYPE_CHECKING:
    from loadtest.webui.live import Live

TIMEOUT_S = 120.0
ROWS = {"rows.csv": ("text/csv", "csv"), "rows.parquet": ("application/vnd.apache.parquet", "parquet")}


class Downloads:
    """Views of what there is to download of ``live``'s tests; a refusal is a response with the reason."""

    def __init__(self, live: "Live") -> None:
        self._live = live

    def of_test(self, number: int, kind: str) -> Any:
        """The report or the rows of test ``number``, from 1; ``kind``: report, rows.csv or rows.parquet."""
        folder, refused = self._folder(number)
        if folder is None:
            return refused
        if kind == "report":
            made = _run("report", str(folder))
            return flask.send_file(folder / "report.html") if made is None else made
        if kind not in ROWS:
            return _sorry(404, "there are report, rows.csv and rows.parquet of a test")
        mimetype, ending = ROWS[kind]
        with tempfile.TemporaryDirectory() as home:
            path = Path(home) / f"{folder.name}.{ending}"
            made = _run_module("loadtest.webui.rows", str(folder), str(path))
            if made is not None:
                return made
            # Read before the folder goes: what is sent later would be gone.
            response = flask.Response(path.read_bytes(), mimetype=mimetype)
        response.headers["Content-Disposition"] = f'attachment; filename="{folder.name}.{ending}"'
        return response

    def of_newest(self, kind: str) -> Any:
        """As :meth:`of_test`, of the newest test; ``kind`` as there."""
        return self.of_test(len(self._live.tests), kind)

    def compared(self, base: int, candidate: int) -> Any:
        """The page of ``compare-reports`` for two tests by number, from 1: ``candidate`` against ``base``."""
        folders = []
        for number in (base, candidate):
            folder, refused = self._folder(number)
            if folder is None:
                return refused
            folders.append(folder)
        arms = [self._live.tests[number - 1].arm for number in (base, candidate)]
        with tempfile.TemporaryDirectory() as home:
            path = Path(home) / "comparison.html"
            made = _run("compare-reports", *map(str, folders), "--html", str(path), "--arms", ":".join(arms))
            return flask.Response(path.read_bytes(), mimetype="text/html") if made is None else made

    def _folder(self, number: int) -> tuple[Path | None, Any]:
        if not 1 <= number <= len(self._live.tests):
            return None, _sorry(404, f"there is no test {number} on this page")
        if self._live.running is not None:
            return None, _sorry(409, "a test is running, which this would disturb: wait for its end")
        return self._live.tests[number - 1].path, None


def _run(*words: str) -> Any:
    return _run_module("loadtest", *words)


def _run_module(module: str, *words: str) -> Any:
    """Runs one of our modules. None if it succeeded, otherwise the response that says why not."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        return _sorry(500, f"not done after {TIMEOUT_S:g} s: run `loadtest {words[0]}` yourself")
    return _sorry(500, done.stderr.strip() or "it failed") if done.returncode else None


def _sorry(status: int, text: str) -> flask.Response:
    return flask.Response(text + "\n", status, mimetype="text/plain")
