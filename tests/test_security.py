"""SECURITY.md, line by line: what no other test holds is held here, and each test that it names exists."""

import os
import re
import stat
import threading
from contextlib import closing, suppress
from dataclasses import replace
from socket import create_server

import psutil
import pytest

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError
from loadtest.results.run_folder import Repetition
from loadtest.server import connections, server_folders, state_file
from loadtest.server.accounts import Passwords
from loadtest.swarm.worker_files import own_folder, taken_home
from tests.places import QUICK, ROOT, ended
from tests.server.pressure import server_process

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_promise_names_a_test_and_every_test_that_it_names_exists():
    promises = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert len(promises) > 15
    assert [line for line in promises if "`tests/" not in line.rpartition(" | ")[2]] == []
    missing = [
        f"{file}::{name}" for file, name in NAMED if f"def {name}(" not in (ROOT / file).read_text("utf-8")
    ]
    assert missing == []


# Passwords

TELLTALE = """\
import os
class Telltale:
    def __init__(self, connect):
        pass
    def invoke(self, work, context):
        raise RuntimeError(os.environ["LOADTEST_DSN"])
"""


def test_a_password_is_in_no_process_list_and_no_file_even_if_a_function_raises_it(place, mariadb_target):
    account = mariadb_target.functions
    (place.folder / "mine.py").write_text(TELLTALE)
    server = str(replace(account, password=""))
    words = [*QUICK, "--strategies", "direct,mine:Telltale", "--server", server, "--out", "mine"]
    env = {"LOADTEST_PASSWORD": account.password, "PYTHONDONTWRITEBYTECODE": "1"}
    started = place.start("bench", *words, env=env)
    seen: set[str] = set()
    while started.poll() is None:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                seen.update(process.cmdline())
        with suppress(Exception):
            started.wait(0.2)
    ran = ended(started, 10.0)
    assert ran.code == 0, ran
    assert "RuntimeError" in ran.out
    assert any("locust" in word for word in seen)
    assert not any(account.password in word for word in (*seen, ran.out, ran.err))
    files = [path for path in (place.folder / "mine").rglob("*") if path.is_file()]
    assert {"report.html", "junit.xml", "locust.log"} <= {path.name for path in files}
    assert [path for path in files if account.password.encode() in path.read_bytes()] == []


def test_no_option_of_locust_takes_a_password():
    from loadtest.settings.plan import Plan
    from loadtest.settings.plan_options import options

    assert [option.name for option in options(Plan) if re.search("pass|dsn|secret", option.name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "mysql://a:geheim@h:x/d", "mysql://a:geheim@/d", "mysql://a:geheim@h/", "mysql://:geheim@h/d",
        "mysql://a:geheim@h/d?x=1", "mysql://a:geheim@[h/d", "postgres://a:geheim@h/d", "mysql://a:geheim@h/d/e",
    ],
)  # fmt: skip
def test_a_dsn_that_is_refused_is_not_repeated(text):
    with pytest.raises(UsageError) as caught:
        Dsn.parse(text)
    assert "geheim" not in str(caught.value)


def test_an_account_that_is_printed_has_no_password(mariadb_target):
    dsn = Dsn("h", 3306, "a", "geheim", "d")
    assert "geheim" not in f"{dsn} {dsn!r} {[dsn]}"
    shown = f"{mariadb_target} {mariadb_target.public()} {Passwords()}"
    for account in (mariadb_target.functions, mariadb_target.admin):
        assert account.password not in shown


@pytest.fixture
def stranger():
    """Greets each client with an error that says whatever it was told to; its port."""
    said: list[str] = []

    def serve():
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                words = b"\xff" + (1234).to_bytes(2, "little") + said[0].encode()
                client.sendall(len(words).to_bytes(3, "little") + b"\0" + words)
                client.close()

    with closing(create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield lambda words: (said.append(words), listener.getsockname()[1])[1]


def test_a_stranger_s_server_cannot_make_us_print_what_it_likes(stranger):
    port = stranger("\x1b]0;mine\x07<script>\n" + "geheim " + "x" * 5000)
    with pytest.raises(ServerUnavailable) as caught:
        connections.try_for(Dsn("127.0.0.1", port, "a", "geheim", "d"), 5.0)
    said = str(caught.value)
    assert "<script>" in said  # which a terminal may be shown, and a report escapes
    assert said.isprintable()
    assert "geheim" not in said
    assert len(said) < 400


# Servers of ours


def test_each_server_of_ours_has_new_passwords(mariadb_target):
    made = [secret for one in (Passwords(), Passwords()) for secret in (one.functions, one.admin)]
    made += [mariadb_target.functions.password, mariadb_target.admin.password]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{32}", secret) for secret in made)


def test_a_server_of_ours_listens_on_loopback_only(mariadb_target):
    listening = [
        one.laddr.ip for one in server_process(mariadb_target).net_connections() if one.status == "LISTEN"
    ]
    assert len(listening) >= 2
    assert {ip for ip in listening if ip} <= {"127.0.0.1"}


def test_folders_and_files_with_secrets_are_ours_alone(mariadb_target, tmp_path):
    def mode(path):
        return stat.S_IMODE(path.lstat().st_mode)

    folder = server_folders.folder_of(mariadb_target.admin)
    assert (mode(folder), folder.stat().st_uid) == (0o700, os.getuid())
    assert (folder / "sock").is_socket()
    assert not (folder / "init.sql").exists()  # which had the passwords
    before = os.umask(0)
    try:
        state_file.write(tmp_path, mariadb_target)
        worker = own_folder()
    finally:
        os.umask(before)
    assert mode(tmp_path / server_folders.STATE) == 0o600
    assert mode(worker.path.parents[2]) == 0o700
    taken_home(worker)


def test_a_link_or_a_folder_of_another_user_is_none_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(server_folders, "_bases", lambda: [tmp_path])
    theirs = tmp_path / "elsewhere"
    theirs.mkdir()
    (theirs / server_folders.STATE).write_text("{}")
    (tmp_path / f"loadtest-{os.getuid()}-link").symlink_to(theirs)
    assert server_folders.standing() == []
    assert list(server_folders.abandoned()) == []
    if os.getuid() == 0:
        folder = tmp_path / "loadtest-0-theirs"
        folder.mkdir()
        os.chown(folder, 12345, 12345)
        assert list(server_folders.abandoned()) == []


# What comes from outside


def test_a_terminal_gets_no_control_characters_of_a_stranger(tmp_path):
    from loadtest.report.files import write_report
    from loadtest.report.render.terminal import run_text
    from tests.report.test_page import made

    evil = "\x1b]0;mine\x07\x1b[31m\x9b\u202e"
    writer = made(tmp_path / "run", error=evil, description=evil)
    writer.folder.add_warning(evil)
    summary, _ = write_report(writer.folder)
    text = run_text(summary, width=120, color=False)
    assert "warning: " in text
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "../../outside", "{tmp_path}/outside", "invocations/../../../outside.parquet",
        "run.json",
        "invocations/000.parquet/../../../outside", "invocations/000.parquet\n", "repetition.json", "",
        "samples.csv", "C:\\outside", "invocations/001.parquet\0",
    ],
)  # fmt: skip
def test_rows_of_workers_cannot_leave_their_folder(tmp_path, name):
    repetition = Repetition(tmp_path / "run" / "arms" / "managed" / "01").create()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    repetition.unpack(
        {name.replace("{tmp_path}", str(tmp_path)): b"mine", "invocations/001.parquet": b"rows"}
    )
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after.pop(repetition.path / "invocations" / "001.parquet") == b"rows"
    assert after == before
