"""The command line without a process of its own: for the many words that it refuses at once."""

from contextlib import contextmanager
from pathlib import Path

from loadtest.bench import bench, capacity, page
from loadtest.bench.interrupts import Interrupts
from loadtest.cli import outcome
from tests.places import sentence


@contextmanager
def _not_refused(*_, **__):
    raise AssertionError("this was not refused")
    yield


class Inside:
    """A folder to run commands in. What they raise but our own errors fails the test."""

    def __init__(self, folder: Path, monkeypatch, capsys) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *words) -> tuple[int, str, str]:
        """The exit code, and what is said on stdout and stderr."""
        self._monkeypatch.chdir(self.folder)
        for place in (bench, capacity, page):  # whatever is not refused shall start nothing here
            self._monkeypatch.setattr(place, "launched", _not_refused)
        self._monkeypatch.setattr("sys.argv", ["loadtest", *map(str, words)])
        code, last_words = outcome(Interrupts())
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err + last_words

    def refused(self, code: int, *words) -> str:
        """The one sentence, once it is sure that nothing is left."""
        before = self.files()
        seen, out, err = self.run(*words)
        assert (seen, out) == (code, ""), (seen, out, err)
        assert self.files() == before
        assert "Traceback" not in err
        return sentence(err)

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
