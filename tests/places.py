"""The command line as a stranger calls it, in a folder and with servers of its own."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

ROOT = Path(__file__).parent.parent
# One short repetition without anything that takes time beside the server.
QUICK = (
    "--server", "local", "--strategies", "direct", "--duration", "1s", "--repetitions", "1", "--rate", "50",
    "--cold-start-ms", "20", "--function-timeout", "1s", "--reruns", "0",
)  # fmt: skip
LONG = (*QUICK, "--duration", "20s")
END_S = 120.0  # an interrupted command that has not ended by then hangs, on however busy a machine
SERVERS = ("mariadbd", "mysqld")
SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Place:
    """A folder to run commands in, and everything that they leave."""

    def __init__(self, folder: Path, tmp: Path) -> None:
        self.folder = folder
        self.tmp = tmp

    def start(self, *words, module="loadtest", ignore_sigint=False, env=None, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "LOADTEST_"))}
        return subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.tmp), **(env or {})},
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
            text=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignore_sigint else None,
        )

    def run(self, *words, timeout_s=180.0, **more) -> Ran:
        return ended(self.start(*words, **more), timeout_s)

    def refused(self, code: int, *words, **more) -> str:
        """The one sentence, once it is sure that nothing is left."""
        before = self.files()
        ran = self.run(*words, **more)
        assert (ran.code, ran.out) == (code, ""), ran
        assert self.files() == before
        assert self.left() == []
        return sentence(ran.err)

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): str(path.readlink()) if path.is_symlink() else ""
            for path in self.folder.rglob("*")
        }

    def left(self) -> list[str]:
        """Processes of this place, and what they left in its temporary directory."""
        return [repr(process) for process in self.processes()] + [p.name for p in self.tmp.iterdir()]

    def processes(self, *names: str) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if (
                    process.environ().get("TMPDIR") == str(self.tmp)
                    and process.status() != psutil.STATUS_ZOMBIE
                    and (not names or process.name() in names)
                ):
                    found.append(process)
        return found

    def locusts(self) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if "locust" in process.cmdline():
                    found.append(process)
        return found

    def arrivals_recorded(self) -> bool:
        return any(self.folder.glob("results/*/arms/*/*/invocations/*.parquet"))


def path_without(folder: Path, *programs: str) -> str:
    """A PATH on which everything is found but these programs; ``folder`` gets links to the rest."""
    kept = []
    for number, place in enumerate(os.environ["PATH"].split(os.pathsep)):
        if not any(Path(place, program).exists() for program in programs):
            kept.append(place)
            continue
        instead = folder / f"{number}"
        instead.mkdir(parents=True)
        for found in Path(place).iterdir():
            if found.name not in programs:
                (instead / found.name).symlink_to(found)
        kept.append(str(instead))
    return os.pathsep.join(kept)


def unobserved() -> dict[str, str]:
    """For tests that look at what a new Python imports: it is not to measure its own coverage."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def ended(process: "subprocess.Popen[str]", timeout_s: float) -> Ran:
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it did not end in {timeout_s} s: {out}{err}")
    assert "Traceback" not in (out or "") + (err or ""), err
    return Ran(process.returncode, out, err)


def sentence(text: str) -> str:
    """A single line, of a length that people read."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert 20 < len(lines[0]) < 400, text
    return lines[0]
