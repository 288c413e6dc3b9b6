"""HAProxy in front of a server: a queue at the door, which lets in as many clients as there are connections.

It knows nothing of MySQL: whoever is let in has a connection of the server to itself until it closes it.
"""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.open_files import open_files_limit
from loadtest.server import connections, ports
from loadtest.server.target import Target

NAME = "haproxy"
PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
CONFIGURATION_FILE = "haproxy.cfg"
START_S = 10.0
RESERVE = 2  # connections that stay free, as in the pool of `ideal`
MISSING = "haproxy is not installed (Debian: apt-get install haproxy): install it, or leave out --via haproxy"

# 120 s is how long RDS Proxy lets a client wait, and 1,800 s how long it keeps an idle one.
CONFIGURATION = """\
global
  maxconn {clients}
  stats socket {socket} mode 600 level user
defaults
  mode tcp
  option abortonclose
  timeout connect 5s
  timeout queue 120s
  timeout client 1800s
  timeout server 1800s
listen functions
  bind 127.0.0.1:{port}
  server mysql {server} maxconn {connections}
"""
CLIENTS_AT_MOST = 5_000  # each takes two open files
FILES_RESERVE = 100


class HaProxy(NamedTuple):
    """``status`` is the path of its socket for statistics."""

    functions: Dsn
    status: str


def find() -> str | None:
    """The program; None if it is not installed."""
    return shutil.which(NAME) or shutil.which(NAME, path=os.pathsep.join(PLACES))


def start(folder: Path, target: Target) -> HaProxy:
    """Starts a HAProxy in front of ``target``; returns when a function can connect through it.

    ``folder`` is its own. Raises :class:`ServerUnavailable`. The caller has to :func:`stop` it.
    """
    program = find()
    if program is None:
        raise ServerUnavailable(MISSING)
    server, port, status = target.functions, ports.free().functions, folder / "status"
    host = f"[{server.host}]" if ":" in server.host else server.host
    clients_count = min(CLIENTS_AT_MOST, (open_files_limit() - FILES_RESERVE) // 2)
    (folder / CONFIGURATION_FILE).write_text(
        CONFIGURATION.format(
            clients=clients_count, socket=status, port=port, server=f"{host}:{server.port}",
            connections=max(1, target.functions_max_connections - RESERVE),
        ),
        "utf-8",
    )  # fmt: skip
    log = folder / "haproxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-db", "-f", str(folder / CONFIGURATION_FILE)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=folder,
        )  # fmt: skip
    functions = Dsn("127.0.0.1", port, server.user, server.password, server.database)
    until_s = time.monotonic() + START_S
    while True:
        try:
            connections.connect(functions, timeout_s=2.0).close()
            return HaProxy(functions, str(status))
        except (pymysql.Error, OSError) as error:
            if process.poll() is not None or time.monotonic() > until_s:
                said = log.read_text("utf-8", "replace").strip().splitlines() or [connections.short(error)]
                raise ServerUnavailable(f"HAProxy did not start: {said[-1]}") from None
        time.sleep(0.05)


def stop(folder: Path) -> None:
    """Kills the HAProxy whose configuration is in ``folder``, if there is one."""
    marker = str(folder / CONFIGURATION_FILE)
    victims = [p for p in psutil.process_iter(["cmdline"]) if marker in (p.info["cmdline"] or ())]
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=10)
