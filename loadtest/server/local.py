"""A private mysqld or mariadbd on 127.0.0.1, in a folder that is removed afterwards.

Its data is worthless, so it is killed instead of shut down.
"""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import certificate, connections, flavour, ports
from loadtest.server.accounts import Passwords, Started

PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/opt/homebrew/bin")
NAMES = ("mysqld", "mariadbd")
START_S = 60.0
ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
ATTEMPTS = 4
INSTALLERS = {
    "apt-get": "apt-get install --no-install-recommends -y mariadb-server-core mariadb-client-core",
    "dnf": "dnf install -y mariadb-server",
    "brew": "brew install mariadb",
}


@dataclass(frozen=True, slots=True)
class Binary:
    path: Path
    flavour: str
    installer: Path | None


def find() -> Binary | None:
    """The first mysqld or mariadbd that works and can create a data directory."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *PLACES])
    for name in NAMES:
        path = shutil.which(name, path=places)
        if path is None:
            continue
        try:
            said = subprocess.run([path, "--no-defaults", "--version"], capture_output=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        kind = flavour.of_version(said.stdout.decode("utf-8", "replace"))
        installer = shutil.which("mariadb-install-db", path=places)
        if said.returncode == 0 and (kind == flavour.MYSQL or installer):
            return Binary(Path(path), kind, Path(installer) if installer else None)
    return None


def install_command() -> str:
    """The command that installs a server on this machine."""
    manager = next((name for name in INSTALLERS if shutil.which(name)), "apt-get")
    sudo = "" if os.geteuid() == 0 or manager == "brew" else "sudo "
    return sudo + INSTALLERS[manager]


def start(folder: Path, max_connections: int) -> Started:
    """Creates a data directory in ``folder`` and starts a server; returns when it answers.

    ``max_connections`` is the server's. Raises :class:`ServerUnavailable` with the last lines of the server's
    log. The caller has to :func:`stop` whatever was started by then.
    """
    binary = find()
    if binary is None:
        raise ServerUnavailable(
            f"no mysqld or mariadbd is installed (looked on PATH and in {', '.join(PLACES)}): "
            f"{install_command()}"
        )
    log = folder / "server.log"
    _initialise(binary, folder, log)
    tls = _certificate(folder) if binary.flavour == flavour.MARIADB else []  # MySQL makes its own
    passwords = Passwords()
    # Run before the first connection is let in: the server is never open without its passwords.
    init = folder / "init.sql"
    init.touch(0o600)
    init.write_text("".join(f"{statement};\n" for statement in passwords.statements(binary.flavour)))
    for attempt in range(1, ATTEMPTS + 1):
        chosen = ports.choose()
        process = _spawn(
            binary, folder, log, [*flavour.server_options(binary.flavour, *chosen, max_connections), *tls]
        )
        started = passwords.started(chosen)
        if _answers(process, started.admin):
            init.unlink()
            return started
        raced = "address already in use" in _text(log).lower()
        if not raced or attempt == ATTEMPTS or ports.fixed():
            break
        log.unlink()
    raise ServerUnavailable(f"{binary.path} did not start: {_tail(log)}")


def stop(folder: Path) -> None:
    """Kills every server that uses the folder's data, found by its command line."""
    victims = processes(folder)
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=10)


def trouble(folder: Path) -> str:
    """Why the folder's server does not run, with the end of its log; "" if it runs."""
    if any(process.status() not in ENDED for process in processes(folder)):
        return ""
    return f"its process ended: {_tail(folder / 'server.log')}"


def processes(folder: Path) -> list[psutil.Process]:
    """The servers that use the data in ``folder``: one, or none."""
    marker = f"--datadir={folder / 'data'}"
    return [p for p in psutil.process_iter(["cmdline"]) if marker in (p.info["cmdline"] or ())]


def _initialise(binary: Binary, folder: Path, log: Path) -> None:
    command = flavour.initialise_command(binary.flavour, binary.path, binary.installer, folder / "data")
    command += _as_root()
    with log.open("wb") as output:
        try:
            made = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=START_S,
                start_new_session=True,
                cwd=folder,
                # a server that starts deletes what it takes for its own leftovers in the shared one
                env={**os.environ, "TMPDIR": str(folder)},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerUnavailable(f"{command[0]} made no data directory: {error}") from None
    if made.returncode:
        raise ServerUnavailable(f"{command[0]} made no data directory: {_tail(log)}")
    log.unlink()


def _certificate(folder: Path) -> list[str]:
    """Options for TLS; none without openssl, which shows in the target's ``tls``."""
    made = certificate.make(folder)
    return [f"--ssl-cert={made.certificate}", f"--ssl-key={made.key}"] if made is not None else []


def _spawn(binary: Binary, folder: Path, log: Path, options: list[str]) -> "subprocess.Popen[bytes]":
    command = [
        str(binary.path),
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        f"--tmpdir={folder}",
        f"--socket={folder / 'sock'}",
        f"--pid-file={folder / 'pid'}",
        f"--log-error={log}",
        f"--init-file={folder / 'init.sql'}",
        *_as_root(),
        *options,
    ]
    with log.open("ab") as output:
        # A session of its own: Ctrl-C in the terminal is for us, who take it down in order.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=folder,
        )


def _answers(process: "subprocess.Popen[bytes]", admin: Dsn) -> bool:
    """Waits for an answer. False if the server ended or did not answer in time."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connections.connect(admin, timeout_s=2.0).close()
        except (pymysql.Error, OSError):
            time.sleep(0.05)
        else:
            return process.poll() is None
    return False


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace") if log.exists() else ""


def _tail(log: Path) -> str:
    """The last lines that mention an error; otherwise the last lines."""
    lines = [line.strip() for line in _text(log).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return " | ".join((errors or lines)[-3:]) or "it said nothing"
