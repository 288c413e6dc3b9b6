"""What SECURITY.md says, where no other test has it."""

import psutil

from loadtest.dsn import Dsn
from loadtest.server.accounts import Passwords
from tests.places import QUICK, SERVERS, ended
from tests.waiting import wait_until


def test_each_server_has_passwords_of_its_own():
    made = [Passwords() for _ in range(3)]
    found = {password for one in made for password in (one.functions, one.admin)}
    assert len(found) == 6
    assert {len(password) for password in found} == {32}
    assert not any(password in repr(one) for one in made for password in found)


def test_a_run_leaves_no_password_on_a_command_line_or_in_its_folder(place):
    started = place.start(*("bench", "quick", *QUICK, "--duration", "3s", "--out", "run"))
    passwords = wait_until(lambda: passwords_of(place.locusts()))
    assert len(passwords) == 2
    seen = set()
    while started.poll() is None:
        for process in place.processes():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            seen.add(process.name())
            assert not holds(" ".join(words), passwords), process.name()
    ran = ended(started, 60)
    assert ran.code == 0, ran
    assert seen & set(SERVERS)
    assert not holds(ran.out + ran.err, passwords)
    files = [path for path in (place.folder / "run").rglob("*") if path.is_file()]
    assert {"report.html", "junit.xml", "run.json", "locust.log"} <= {path.name for path in files}
    assert [path for path in files if holds(path.read_bytes().decode("latin-1"), passwords)] == []


def passwords_of(locusts):
    """Of the accounts of functions and harness, from where processes of ours get them."""
    for process in locusts:
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        dsns = [environment.get(name, "") for name in ("LOADTEST_DSN", "LOADTEST_ADMIN_DSN")]
        if all(dsns):
            return {Dsn.parse(dsn).password for dsn in dsns}
    return set()


def holds(text, passwords):
    return any(password in text for password in passwords)
