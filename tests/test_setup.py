"""What `make` does on a machine that has nothing: each step of .ci/setup with the programs out of sight.

The script itself runs; only apt-get and pip are stand-ins, which note what they were asked for and "install"
it.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import missing

ROOT = Path(__file__).parent.parent
SETUP = ROOT / ".ci" / "setup"
# What the script itself uses; everything else is out of sight.
NEEDED = ("cat", "chmod", "dirname", "env", "id", "ls", "mkdir", "rm", "sed", "sh", "uname")
PACKAGES = (
    "mariadb-server-core mariadb-client-core chromium fonts-dejavu-core libatomic1 iproute2 openssl nodejs "
    "haproxy"
)
APT = """#!/bin/sh
echo "$*" >> {log}
[ "$1" = install ] || exit 0
for package in "$@"; do
  case "$package" in
    mariadb-server-core) program=mariadbd ;;
    mariadb-client-core) program=mariadb-install-db ;;
    chromium|openssl|haproxy) program="$package" ;;
    nodejs) program=node ;;
    iproute2) program=ip ;;
    python3) program=python3 ;;
    *) continue ;;
  esac
  {install}
done
"""
INSTALL = "{{ echo '#!/bin/sh'; echo 'exec {python} \"$@\"'; }} > {bin}/$program; chmod +x {bin}/$program"
# Writes a wheel with a program for each kind of machine, or says that it cannot.
PIP = """import pathlib, sys, zipfile
log = pathlib.Path(__file__).with_name("asked")
arguments = dict(zip(sys.argv, sys.argv[1:]))
wanted = pathlib.Path(arguments["--requirement"]).read_text()
log.write_text(wanted)
if {is_offline}:
    sys.exit("no route to host")
with zipfile.ZipFile(pathlib.Path(arguments["--dest"], "a.whl"), "w") as wheel:
    for machine in ("x86_64", "arm64"):
        wheel.writestr(f"samcli/local/rapid/aws-lambda-rie-{{machine}}", machine)
"""
FAIL = "echo 'E: Unable to locate package' >&2; exit 100"


class Machine(NamedTuple):
    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def log(self) -> Path:
        return self.folder / "apt.log"

    def asked(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def has_apt(self, *, that_works: bool = True) -> None:
        install = INSTALL.format(bin=self.bin, python=sys.executable) if that_works else FAIL
        self.write("apt-get", APT.format(log=self.log, install=install))

    def write(self, name: str, text: str = "#!/bin/sh\n") -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def setup(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """In a mount namespace of its own, in which nothing lies where only root looks."""
        hidden = f"for at in /usr/sbin /usr/local/sbin; do mount --bind {self.folder / 'empty'} $at; done"
        variables = {"PATH": str(self.bin), "HOME": str(self.folder), **environment}
        return subprocess.run(
            ["unshare", "--mount", "--map-root-user", "sh", "-c", f'{hidden}; exec "$@"', "setup",
             "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()),
             str(SETUP), *words],
            capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Nothing but a shell and its programs."""
    tried = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        missing(f"hiding programs needs a mount namespace: {tried.stderr.decode().strip()}")
    made = Machine(tmp_path)
    made.bin.mkdir()
    (tmp_path / "empty").mkdir()
    for name in NEEDED:
        (made.bin / name).symlink_to(
            f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else f"/bin/{name}"
        )
    return made


def test_what_the_tests_need_is_said_and_then_installed(machine):
    machine.has_apt()
    done = machine.setup("programs")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (f"make: the tests need more than is here: installing {PACKAGES} (apt-get)\n")
    assert machine.asked().splitlines() == [
        "update -qq",
        f"install -y -qq --no-install-recommends {PACKAGES}",
    ]


@pytest.mark.parametrize(
    ("there", "wanted", "not_wanted"),
    [
        ("mariadbd", "chromium", "mariadb-server-core"),
        ("chromium", "mariadb-server-core", "chromium"),
        ("chromium-browser", "mariadb-server-core", "chromium"),
        ("google-chrome", "mariadb-server-core", "chromium"),
        ("ip", "openssl", "iproute2"),
        ("openssl", "iproute2", "openssl"),
        ("node", "openssl", "nodejs"),
        ("haproxy", "openssl", "haproxy"),
    ],
)
def test_what_is_there_is_not_installed_again(machine, there, wanted, not_wanted):
    machine.has_apt()
    machine.write(there)
    assert machine.setup("programs").returncode == 0
    assert wanted in machine.asked()
    assert not_wanted not in machine.asked()


def test_nothing_is_said_where_everything_is_there(machine):
    machine.has_apt()
    for program in ("mariadbd", "chromium", "ip", "openssl", "node", "haproxy"):
        machine.write(program)
    done = machine.setup("programs")
    assert (done.returncode, done.stderr, machine.asked()) == (0, "", "")


@pytest.mark.parametrize("has_apt", [True, False])
@pytest.mark.parametrize(("ci", "code"), [("true", 3), ("", 0)])
def test_what_cannot_be_installed_is_a_warning_and_in_ci_an_error(machine, has_apt, ci, code):
    if has_apt:
        machine.has_apt(that_works=False)
    done = machine.setup("programs", CI=ci)
    assert done.returncode == code, done.stderr
    assert (
        "make: mariadbd and Chromium and ip and openssl and Node.js and haproxy could not be installed"
        in done.stderr
    )


class Venv(NamedTuple):
    """An environment whose pip is a stand-in."""

    machine: Machine
    folder: Path

    @property
    def emulator(self) -> Path:
        return self.folder / "aws-lambda-rie"

    @property
    def asked(self) -> Path:
        return self.folder / "pip" / "asked"

    def setup(self) -> subprocess.CompletedProcess[str]:
        return self.machine.setup(
            "emulator", str(self.folder / "bin" / "python"), PYTHONPATH=str(self.folder)
        )


def venv_on(machine: Machine, *, is_offline: bool = False) -> Venv:
    venv = Venv(machine, machine.folder / "venv")
    for name, text in {
        "bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        "pip/__init__.py": "",
        "pip/__main__.py": PIP.format(is_offline=is_offline),
    }.items():
        (venv.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (venv.folder / name).write_text(text)
    (venv.folder / "bin" / "python").chmod(0o755)
    return venv


def pretend(machine: Machine, kernel: str, hardware: str) -> None:
    (machine.bin / "uname").unlink()  # a link to the real one
    machine.write("uname", f'#!/bin/sh\n[ "$1" = -s ] && echo {kernel} || echo {hardware}\n')


@pytest.mark.parametrize(("hardware", "built"), [("x86_64", "x86_64"), ("aarch64", "arm64")])
def test_awss_emulator_is_one_file_of_a_wheel_that_is_fetched_once(machine, hardware, built):
    pretend(machine, "Linux", hardware)
    venv = venv_on(machine)
    done = venv.setup()
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "make: fetching AWS's Lambda emulator, which tests compare with (pip download aws-sam-cli, 8 MB)\n"
    )
    assert venv.asked.read_text().startswith("aws-sam-cli==")
    assert "--hash=sha256:" in venv.asked.read_text()
    assert venv.emulator.read_text() == built
    assert os.access(venv.emulator, os.X_OK)
    venv.asked.unlink()
    assert (venv.setup().stderr, venv.asked.exists()) == ("", False)


def test_without_awss_emulator_it_says_so_and_goes_on(machine):
    pretend(machine, "Linux", "x86_64")
    venv = venv_on(machine, is_offline=True)
    done = venv.setup()
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1:] == [
        "make: AWS's Lambda emulator could not be had: the tests that compare with it are skipped"
    ]
    assert not venv.emulator.exists()


def test_where_awss_emulator_does_not_run_it_is_not_fetched(machine):
    pretend(machine, "Darwin", "arm64")
    venv = venv_on(machine)
    done = venv.setup()
    assert done.returncode == 0
    assert done.stderr == (
        "make: AWS's Lambda emulator is not built for this machine: "
        "the tests that compare with it are skipped\n"
    )
    assert not venv.asked.exists()


def test_a_server_is_installed_where_neither_docker_nor_one_is(machine):
    machine.has_apt()
    done = machine.setup("server", sys.executable, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert "make: neither Docker nor mysqld nor mariadbd is here: apt-get install" in done.stderr
    assert "mariadb-server-core" in machine.asked()


def test_a_server_that_cannot_be_installed_is_left_to_loadtest_to_say(machine):
    machine.has_apt(that_works=False)
    done = machine.setup("server", sys.executable, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr


def test_a_python_is_installed_where_there_is_none_and_makes_the_environment(machine):
    machine.has_apt()
    venv = machine.folder / "venv"
    done = machine.setup("python", "python3", str(venv))
    assert done.returncode == 0, done.stderr
    assert "make: installing Python (apt-get install python3 python3-venv)" in done.stderr
    assert (venv / "bin" / "python").exists()


def test_a_python_without_its_venv_module_is_given_one(machine):
    machine.has_apt()
    broken = f'#!/bin/sh\n[ "$1" = -m ] && exit 1\nexec {sys.executable} "$@"\n'
    machine.write("python3", broken)
    done = machine.setup("python", "python3", str(machine.folder / "venv"))
    version = "{}.{}".format(*sys.version_info)
    assert f"make: installing python{version}-venv (apt-get)" in done.stderr
    assert f"python{version}-venv" in machine.asked()
    assert done.returncode == 3, "this stand-in's package changes nothing"
    assert "make: python3 cannot make environments: install its venv module" in done.stderr
    assert not (machine.folder / "venv").exists()


def test_a_python_that_is_too_old_is_refused_with_what_to_do(machine):
    machine.write("python3", "#!/bin/sh\nexit 1\n")
    done = machine.setup("python", "python3", str(machine.folder / "venv"))
    assert done.returncode == 3
    assert (
        "make: python3 is not Python 3.11 or later: install one, or name it with make PYTHON=" in done.stderr
    )


@pytest.mark.parametrize("words", [(), ("chromium",), ("rm",)])
def test_a_step_that_is_not_there_is_refused(machine, words):
    done = machine.setup(*words)
    assert done.returncode == 2
    assert (
        "make: setup has the steps python, server, programs, emulator, tests, nightly, audit and coverage,"
        in done.stderr
    )


def test_make_test_installs_before_it_runs_and_ci_calls_it():
    """In this order, so that a machine without rights hears of it in its first second."""
    plan = subprocess.run(
        ["make", "--dry-run", "test"], capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "MAKEFLAGS": ""},
    ).stdout.splitlines()  # fmt: skip
    steps = [line.split()[1] for line in plan if line.startswith("./.ci/setup")]
    assert [step for step in steps if step != "python"] == ["programs", "server", "emulator", "tests"]
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "make test"
    assert "make lint" in lines


@pytest.mark.parametrize(
    ("outcomes", "code", "tries", "undecided"),
    [("0 0", 0, 2, False), ("1 1", 1, 2, False), ("1 0 0", 0, 3, False), ("3", 3, 1, False),
     ("0 1 1", 1, 3, False), ("0 1 0", 0, 3, False),
     ("4 0 0", 0, 3, False), ("4 4 0 4 0", 0, 5, False), ("4 1 1", 1, 3, False), ("4 4 4 0", 0, 4, True),
     ("0 4 4 4", 0, 4, True)],
)  # fmt: skip
def test_the_gate_says_when_the_machine_was_too_busy_to_tell(tmp_path, outcomes, code, tries, undecided):
    """A stand-in for loadtest ends with one code after the other."""
    loadtest = tmp_path / "loadtest"
    loadtest.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nset -- {outcomes}\n'
        f"shift $(($(wc -l < {tmp_path}/calls) - 1)); exit $1\n"
    )
    loadtest.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "gate", loadtest, tmp_path / "out"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "GITHUB_ACTIONS": "true"},
    )  # fmt: skip
    calls = (tmp_path / "calls").read_text().splitlines()
    assert (done.returncode, len(calls)) == (code, tries), done.stderr
    assert len({call.split("--out ")[1].split()[0] for call in calls}) == tries, (
        "a folder is never overwritten"
    )
    assert done.stderr.count("this machine was too busy to tell") == outcomes.count("4")
    assert ("is UNDECIDED" in done.stderr) is undecided
    assert ("::warning" in done.stdout) is undecided
