"""What the bench tells the processes of a repetition while it runs: a small file that is replaced as a whole.

It is in a folder that only its owner can enter, and not in the run folder, which others may get to see: it
may hold a password.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "LOADTEST_NOTICE"  # where it is, for the processes of a repetition
FILE = "notice.json"


class Notice(NamedTuple):
    """What holds from now on; as it is by default, nothing has happened."""

    password: str = ""  # of the functions' account, as a secrets manager would say; "": that of the DSN
    is_nameless: bool = False  # the name of the server cannot be resolved
    is_monitor_down: bool = False
    killed_workers_count: int = 0  # one after the other, from the last place
    deploys_count: int = 0  # how often all containers have been replaced


class Board:
    """Where notices are put up. To be closed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="loadtest-notice-"))
        self.path = self._folder / FILE
        self._notice = Notice()

    def __repr__(self) -> str:
        return f"<Board at {self.path}>"

    def put(self, **changes: Any) -> None:
        """Changes the notice: fields of :class:`Notice` by name."""
        self._notice = self._notice._replace(**changes)
        new = self._folder / f"{FILE}.new"
        new.touch(0o600)
        new.write_text(json.dumps(self._notice._asdict()), "utf-8")
        new.replace(self.path)

    @property
    def notice(self) -> Notice:
        return self._notice

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Notices:
    """Reads the notice at ``path``; without one, nothing ever happens."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._newest = Notice()

    def __repr__(self) -> str:
        return f"<Notices at {self._path or 'nowhere'}>"

    def newest(self) -> Notice:
        """The same object for as long as nothing has changed. Costs a microsecond or two."""
        if not self._path:
            return self._newest
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a Path's own is several times as slow
            version = found.st_ino, found.st_mtime_ns
            if version != self._seen:
                self._newest = Notice(**json.loads(Path(self._path).read_text("utf-8")))
                self._seen = version
        except FileNotFoundError:
            pass  # nothing was put up yet; or the run is over
        return self._newest
