"""What goes wrong is one clear sentence and an exit code, and nothing is left of it.

All through the real command line. Whatever a command starts inherits its ``TMPDIR``, by which it is
found: other servers may run on this machine.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from loadtest.dsn import Dsn
from loadtest.process import shipped
from loadtest.server import reach
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
# One short repetition without anything that takes time beside the server.
QUICK = (
    "--server", "local", "--strategies", "direct", "--duration", "1s", "--repetitions", "1", "--rate", "50",
    "--cold-start-ms", "20", "--function-timeout", "1s", "--reruns", "0",
)  # fmt: skip
LONG = (*QUICK, "--duration", "20s")
END_S = 15.0  # how long an interrupted command may take to end, on a busy machine
SERVERS = ("mariadbd", "mysqld")


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

    def run(self, *words, timeout_s=60.0, **more) -> Ran:
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


@pytest.fixture
def place(tmp_path):
    # Not below pytest's own, which is too long for the path of a server's socket.
    tmp = Path(tempfile.mkdtemp(prefix="bad-", dir="/tmp"))
    here = Place(tmp_path, tmp)
    yield here
    left = here.processes()
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    shutil.rmtree(tmp, ignore_errors=True)
    assert left == []


# What cannot be, said before anything runs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bnch"], "unknown command 'bnch' (did you mean bench?); there are bench, "),
        (["server", "upp"], "unknown command 'upp' (did you mean up?)"),
        (["bench", "quik"], "unknown scenario 'quik' (did you mean quick?); there are article, "),
        (["bench", "./nowhere.toml"], "scenario './nowhere.toml' cannot be read: "),
        (["bench", "--strategies", "chached"], "unknown strategy 'chached' (did you mean cached?)"),
        (["bench", "--strategies", "managed:0.5+cached:0.6"], "the shares add up to 1.1, not to 1"),
        (["bench", "--strategies", ""], "no strategy given"),
        (["bench", "--strategies", "direct,direct"], "named twice"),
        (["bench", "--ratee", "5"], "No such option '--ratee'"),
        (["bench", "--ratee", "5"], "'--rate'"),
        (["bench", "--rate"], "'--rate' requires an argument"),
        (["bench", "--rate", "1e300"], "more than 100,000 clients"),
        (["bench", "--rate", "0"], "rate cannot be '0': expected a number > 0"),
        (["bench", "--rate", "-1"], "rate cannot be '-1': expected a number > 0"),
        (["bench", "--rate", "nan"], "rate cannot be 'nan': expected a number > 0"),
        (["bench", "--rate", "inf"], "every number has to be finite"),
        (["bench", "--rate", "many"], "rate cannot be 'many': expected a number"),
        (["bench", "--zombie-ratio", "1.2"], "zombie-ratio cannot be '1.2': expected a number <= 1"),
        (["bench", "--model", "opne"], "model cannot be 'opne' (did you mean open?); take open or closed"),
        (["bench", "--max-connections", "0"], "max-connections cannot be '0': expected a whole number >= 1"),
        (["bench", "--max-connections", "10000000"], "max_connections 10000000 cannot be: from 1 to "),
        (["server", "up", "--max-connections", "0"], "max_connections 0 cannot be: from 1 to "),
        (["server", "up", "--max-connections", "x"], "'x' is not a valid integer"),
        (["bench", "--duration", "soon"], "duration: not a duration: 'soon'; write 30s, 500ms, 5m or "),
        (["bench", "--duration", "1s", "--warmup", "1s"], "the warm-up (1 s) leaves nothing"),
        (["bench", "--max-connections", "2"], "ideal has no connection left"),
        (["bench", "--server", "podman"], "unknown server 'podman': take auto, docker, local or a DSN"),
        (["bench", "--server", "mysql://"], "malformed DSN: no user and no host and no database"),
        (["bench", "--server", "mysql://a@h"], "malformed DSN: no database"),
        (["bench", "--server", "mysql://h:3306/d"], "malformed DSN: no user"),
        (["bench", "--server", "mysql://a@h:port/d"], "malformed DSN: the port is not a number"),
        (["bench", "--server", "mysql://a@h:99999/d"], "malformed DSN: the port is not a number"),
        (["bench", "--server", "postgres://a@h/d"], "malformed DSN: it does not begin with mysql://"),
        (["bench", "--server", "mysql://a@h/d?tls=1"], "malformed DSN: something follows"),
        (["report"], "Missing argument 'RUN'"),
        (["report", "nowhere"], "nowhere is no run folder: it has no run.json"),
        (["report", "."], ". is no run folder: it has no run.json"),
        (["bench", "quick", "burst"], "unexpected extra argument (burst)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_one_sentence(place, words, said):
    assert said in place.refused(2, *words)


def test_a_scenario_that_is_wrong_is_named_with_its_option(place):
    (place.folder / "mine.toml").write_text("rat = 5\n")
    assert "scenario mine.toml: unknown option 'rat' (did you mean rate?)" in place.refused(
        2, "bench", "mine.toml"
    )
    (place.folder / "mine.toml").write_text("rate = [\n")
    assert "scenario 'mine.toml' is not TOML: " in place.refused(2, "bench", "mine.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('no network here')\n", "RuntimeError: no network here"),
        ("def f(:\n", "SyntaxError"),
        ("import not_installed\n", "No module named 'not_installed'"),
        ("print('hello')\n", "has nothing to call named 'Mine'"),
        ("raise SystemExit(5)\n", "SystemExit: 5"),
    ],
)
def test_a_strategy_that_cannot_be_imported_is_refused_before_a_server_starts(place, text, said):
    (place.folder / "mine.py").write_text(text)
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    assert said in place.refused(2, "bench", *QUICK, "--strategies", "mine:Mine", env=env)


# Folders


def test_a_results_folder_that_exists_is_never_overwritten(place):
    (place.folder / "mine").mkdir()
    said = place.refused(2, "bench", *QUICK, "--out", "mine")
    assert said == "loadtest: mine exists already and is never overwritten; choose another --out"


def test_a_folder_that_cannot_be_made_is_said(place):
    (place.folder / "file").write_text("")
    said = place.refused(3, "bench", *QUICK, "--out", "file/mine")
    assert "cannot write file/mine: Not a directory; free some space, or choose a folder" in said


@pytest.fixture
def small_disk(place):
    """As large as is asked for: a file system in memory."""
    mounted = []

    def mount(size: str) -> Path:
        disk = place.folder / f"disk-{size}"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "loadtest-test", str(disk)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a small file system, and not everywhere")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full_from_the_start_is_said_before_a_server_starts(place, small_disk):
    disk = small_disk("4k")
    for number in range(100):
        with suppress(OSError):
            (disk / f"{number}").write_bytes(b"x" * 4096)
    said = place.refused(3, "bench", *QUICK, "--out", disk / "mine")
    assert f"cannot write {disk}/mine" in said
    assert "No space left on device" in said


def test_a_disk_that_fills_up_in_mid_run_ends_it(place, small_disk):
    disk = small_disk("160k")
    ran = place.run("bench", *LONG, "--rate", "300", "--out", disk / "mine")
    assert ran.code == 3, ran
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert len(last) == 1, ran.err
    assert "cannot write" in last[0]
    assert "No space left on device" in last[0]
    assert place.left() == []


# Servers that are not to be had


@pytest.fixture
def account(mariadb_target):
    """A DSN of an account with certain rights."""
    made = []
    with reach.session(mariadb_target.admin) as cursor:

        def make(*grants):
            name = f"bad{len(made)}"
            cursor.execute(f"CREATE USER {name} IDENTIFIED BY 'secret'")
            made.append(name)
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO {name}")
            server = mariadb_target.functions
            return Dsn(server.host, server.port, name, "secret", server.database)

        yield make
        for name in made:
            cursor.execute(f"DROP USER {name}")


def refused_server(place, dsn: str, password: str) -> str:
    began = time.monotonic()
    said = place.refused(3, "bench", *QUICK, "--server", dsn, env={"LOADTEST_PASSWORD": password})
    assert time.monotonic() - began < 12.0
    assert "secret" not in said
    return said


def test_a_wrong_password_is_said(place, account):
    assert "refuses the password of 'bad0' (1045)" in refused_server(place, str(account()), "secret-wrong")


def test_a_missing_password_is_said(place, account):
    assert "put it into LOADTEST_PASSWORD" in refused_server(place, str(account()), "")


def test_missing_rights_are_said(place, account):
    said = refused_server(place, str(account("SELECT ON loadtest.*")), "secret")
    assert "'bad0' may not create and fill tables in 'loadtest' (1142" in said


def test_an_unknown_host_is_said(place):
    assert "the host 'nowhere.invalid' is unknown" in refused_server(
        place, "mysql://a@nowhere.invalid/c", "b"
    )


def test_a_port_where_nothing_listens_is_said(place):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"nothing listens on {where}" in refused_server(place, f"mysql://a@{where}/c", "b")


def test_a_server_that_never_answers_is_given_up(place):
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        where = f"127.0.0.1:{mute.getsockname()[1]}"
        assert "did not answer in 5 s" in refused_server(place, f"mysql://a@{where}/c", "b")


def test_a_port_that_is_taken_is_said(place):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        said = place.refused(3, "bench", *QUICK, env={"LOADTEST_PORT": port})
    assert f"port {port} on 127.0.0.1 cannot be had" in said


def test_a_docker_engine_that_does_not_answer_is_said(place):
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        engine = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        said = place.refused(3, "bench", *QUICK, "--server", "docker", env={"DOCKER_HOST": engine})
    assert "Docker" in said


def test_a_password_on_the_command_line_draws_a_warning_and_is_kept_nowhere(place, account):
    dsn = account("ALL ON loadtest.*", "PROCESS ON *.*")
    ran = place.run("bench", *QUICK, "--server", dsn.url(), "--out", "mine")
    assert ran.code == 0, ran
    assert "warning: other users of this machine can read a password" in ran.err
    assert "secret" not in ran.out + ran.err
    for path in (place.folder / "mine").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path


# Interrupted


SIGNALS = [signal.SIGINT, signal.SIGTERM]


def is_starting(place):
    """The server's files are being made, or it comes up."""
    return any(place.tmp.iterdir())


def is_installing(place):
    return place.processes(*SERVERS)


def is_measuring(place):
    return place.arrivals_recorded()


def is_coming_up(place):
    """Locust is there and has not begun."""
    return place.locusts()


def interrupt(place, process, *numbers) -> Ran:
    """Signals one after the other; everything has to be gone in a bounded time."""
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    ran = ended(process, END_S)
    assert time.monotonic() - began < END_S
    assert ran.code == 130, ran
    assert place.left() == []
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert last == [f"loadtest: interrupted by {numbers[0].name}"]
    return ran


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", [is_starting, is_installing, is_coming_up])
def test_a_run_that_is_interrupted_before_it_measured_leaves_nothing(place, moment, number):
    (place.folder / "results" / "older").mkdir(parents=True)
    (place.folder / "results" / "latest").symlink_to("older")
    before = place.files()
    with place.start("bench", *LONG) as process:
        wait_until(lambda: moment(place), 20)
        ran = interrupt(place, process, number)
    assert ran.out == ""
    assert place.files() == before


def test_a_run_that_is_interrupted_before_anything_arrived_leaves_nothing(place):
    with place.start("bench", *LONG, "--rate", "0.001") as process:
        wait_until(lambda: any(place.folder.glob("results/*/arms/*/*/generator.csv")), 30)
        ran = interrupt(place, process, signal.SIGINT)
    assert ran.out == ""
    assert place.files() == {}


@pytest.mark.parametrize("numbers", [SIGNALS[:1], SIGNALS[1:], SIGNALS[:1] * 2, SIGNALS[1:] * 3])
def test_a_run_that_is_interrupted_keeps_what_it_measured(place, numbers):
    with place.start("bench", *LONG) as process:
        wait_until(lambda: is_measuring(place), 30)
        ran = interrupt(place, process, *numbers)
    assert "direct" in ran.out
    assert "run folder: results/" in ran.out
    readable(place)


def readable(place, name: str = "results/latest") -> dict:
    """Of the run that was cut off a report can be made, as often as one likes."""
    ran = place.run("report", name, "--json")
    assert ran.code == 0, ran
    summary = json.loads(ran.out)
    (repetition, *_) = summary["arms"]["direct"]["repetitions"]
    assert repetition["arrivals_count"] > 0
    assert any("did not end by itself" in warning for warning in summary["warnings"])
    return summary


def test_a_run_that_is_interrupted_near_its_end_is_readable(place):
    with place.start("bench", *QUICK) as process:
        wait_until(lambda: is_measuring(place), 30)
        wait_until(lambda: not place.locusts(), 30)
        process.send_signal(signal.SIGINT)
        ran = ended(process, END_S)
    assert ran.code in (0, 130), ran  # it may have been over by then
    assert place.left() == []
    assert place.run("report", "results/latest").code == 0


def test_a_background_job_that_ignores_sigint_can_be_interrupted_all_the_same(place):
    with place.start("bench", *LONG, ignore_sigint=True) as process:
        wait_until(lambda: is_measuring(place), 30)
        interrupt(place, process, signal.SIGINT)
    readable(place)


def test_an_interrupt_while_a_server_comes_up_to_stay_takes_it_down(place):
    with place.start("server", "up", "--server", "local") as process:
        wait_until(lambda: is_installing(place), 20)
        interrupt(place, process, signal.SIGTERM)


# The server goes away


def test_a_server_that_is_lost_in_mid_run_ends_it_with_what_was_measured(place):
    with place.start("bench", *LONG) as process:
        wait_until(lambda: is_measuring(place), 30)
        (server,) = place.processes(*SERVERS)
        server.kill()
        ran = ended(process, 30)
    assert ran.code == 3, ran
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert len(last) == 1
    assert "the server was lost in direct/01" in last[0]
    assert "its process ended" in last[0]
    assert "run folder: results/" in ran.out
    assert place.left() == []
    readable(place)


def test_a_server_that_is_lost_near_the_end_is_found_lost_too(place):
    with place.start("bench", *QUICK, "--duration", "2s", "--rate", "20") as process:
        wait_until(lambda: is_measuring(place), 30)
        (server,) = place.processes(*SERVERS)
        server.kill()
        ran = ended(process, 30)
    assert ran.code == 3, ran
    assert "the server was lost in direct/01" in ran.err
    readable(place)


# Strangers' files and variables


def test_what_belongs_to_another_locust_does_not_disturb(place):
    home = place.folder / "home"
    home.mkdir()
    (home / ".locust.conf").write_text("no-such-option = 1\n")
    (place.folder / "locust.conf").write_text("no-such-option = 1\n")
    (place.folder / "grp.py").write_text("raise RuntimeError('not the one that you want')\n")
    env = {
        "HOME": str(home), "LOCUST_USERS": "many", "LOCUST_HEADLESS": "perhaps", "LOCUST_RUN_TIME": "1ms",
        "PYTHONSAFEPATH": "1",  # as the console script has it: our own parent does not look here either
    }  # fmt: skip
    ran = place.run("bench", *QUICK, env=env)
    assert ran.code == 0, ran
    assert "run folder: results/" in ran.out


def test_whoever_has_seen_enough_of_the_output_gets_no_traceback(place):
    for words in (
        ["--help"],
        ["--version"],
        ["scenarios"],
        ["bench", *QUICK, "--out", "mine"],
        ["report", "mine"],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            assert place.run(*words, stdout=writing).code == 0, words
        finally:
            os.close(writing)
    assert (place.folder / "mine" / "summary.json").exists()


# Plain Locust


def locust(*more) -> list[str]:
    return [
        "-f", str(shipped("locustfiles") / "clients.py"), "--headless", "-u", "20", "-r", "20", "-t", "20s",
        *more,
    ]  # fmt: skip


@pytest.fixture
def server_env(mariadb_target):
    functions, admin = mariadb_target.functions.url(), mariadb_target.admin.url()
    return {"LOADTEST_DSN": functions, "LOADTEST_ADMIN_DSN": admin}


def own_words(ran: Ran) -> str:
    """Without Locust's log."""
    return sentence("\n".join(line for line in ran.err.splitlines() if not line.startswith("[")))


def test_plain_locust_without_a_server_says_where_to_name_one(place):
    ran = place.run(*locust(), module="locust")
    assert ran.code == 3, ran
    assert own_words(ran).startswith("no server: set LOADTEST_DSN to mysql://")
    assert place.files() == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "nonsense"], "unknown strategy 'nonsense'"),
        (["--strategy", "manged"], "(did you mean managed?)"),
        (["--strategy", "no_such_module:Mine"], "no_such_module cannot be imported"),
        (["--zombie-ratio", "1.2"], "zombie-ratio cannot be 1.2: expected a number <= 1"),
        (["--duration", "soon"], "not a duration: 'soon'"),
    ],
)
def test_plain_locust_refuses_what_cannot_be(place, server_env, words, said):
    ran = place.run(*locust(), *words, module="locust", env=server_env)
    assert ran.code == 2, ran
    assert said in own_words(ran)
    assert place.files() == {}


def test_plain_locust_says_a_wrong_password(place, server_env):
    wrong = server_env["LOADTEST_DSN"].replace(":", ":wrong", 2).replace("mysql:wrong", "mysql:")
    ran = place.run(*locust(), module="locust", env={**server_env, "LOADTEST_DSN": wrong})
    assert ran.code == 3, ran
    assert "refuses the password of 'loadtest' (1045)" in own_words(ran)
    assert place.files() == {}


@pytest.mark.parametrize("number", SIGNALS)
def test_plain_locust_that_is_interrupted_ends_with_130_and_its_rows(place, server_env, number):
    with place.start(*locust("--strategy", "direct"), module="locust", env=server_env) as process:
        wait_until(lambda: is_measuring(place), 30)
        process.send_signal(number)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    assert place.left() == []
    (folder,) = (path for path in (place.folder / "results").iterdir() if not path.is_symlink())
    assert place.run("report", folder).code == 0


# A strategy whose module makes the last step of writing take long, as a slow disk would.
SLOW_DISK = """
import time
from loadtest.fleet import recorder
from loadtest.fleet.strategies import Direct

merge_parts = recorder.merge_parts

def slowly(*args):
    time.sleep(0.5)
    merge_parts(*args)

recorder.merge_parts = slowly
Slow = Direct
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_plain_locust_that_is_interrupted_waits_for_its_last_rows(place, server_env, number):
    (place.folder / "slow_disk.py").write_text(SLOW_DISK)
    with place.start(
        *locust("--strategy", "slow=slow_disk:Slow"), module="locust", env=server_env
    ) as process:
        wait_until(lambda: is_measuring(place), 30)
        process.send_signal(number)
        ran = ended(process, END_S)
    assert ran.code == 130, ran
    (rows,) = place.folder.glob("results/2*/arms/slow/01/invocations")
    assert len(list(rows.iterdir())) == 1, "parts are left"
