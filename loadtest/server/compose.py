"""MySQL in Docker Compose: started and taken down by ``docker compose``, its state read by docker."""

import json
import os
import secrets
import subprocess
import sys
import time
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.packaged import packaged
from loadtest.server import connections, flavour, ports
from loadtest.server.accounts import Passwords, Started
from loadtest.settings.profiles import Profile

ENGINE_S = 5.0  # an engine that is up answers in some 50 ms
START_S = 180.0
PULL_S = 600.0
ELSEWHERE_S = 3.0  # a server that says that it is ready answers at once
PORT_INSIDE = 3306  # of a container whose port is published
ATTEMPTS = 4
PROJECT = "compose.json"
SMALL_DISK = "512m"  # of which MySQL 9.7 takes 200 at once
PUBLISHED_WARNING = (
    "Docker publishes the server's port through a relay here: connects take longer and closes reach the "
    "server late, which adds refusals of its own; compare such runs only with each other"
)


PORT_TAKEN = ("address already in use", "already allocated")


class Engine(NamedTuple):
    shares_network: bool
    cpus_count: int
    address: str  # of the engine's interface, for the docker package


class NoEngine(ServerUnavailable):
    """Docker cannot be used. ``reason`` is the message without the advice."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}: {advice}")
        self.reason = reason


class Exited(Exception):
    """The container ended before its server answered."""


def compose_file() -> Path:
    """The docker-compose.yml of the checkout or of the wheel. Raises :class:`ServerUnavailable`."""
    found = packaged("docker-compose.yml")
    if found.is_file():
        return found
    raise ServerUnavailable(f"there is no {found}: install the package again")


def engine() -> Engine:
    """The Docker engine, if it answers and has Compose. Raises :class:`NoEngine`."""
    said = _docker(["info", "--format", "{{json .}}"], ENGINE_S)
    info = _object(said.stdout)
    problem = info.get("ServerErrors") or ([] if said.returncode == 0 else [_last(said.stderr)])
    if problem:
        cause = str(problem[0]).partition(': Get "')[0].partition(". Is the docker")[0]
        raise NoEngine(
            f"Docker is there but its engine cannot be used ({cause})",
            "start it, see that you may use it, or take --server local",
        )
    version = _docker(["compose", "version", "--short"], ENGINE_S)
    if version.returncode or version.stdout.strip().startswith("1."):
        raise NoEngine("Docker has no Compose v2", "install its plugin, or take --server local")
    address = os.environ.get("DOCKER_HOST") or _context_address()
    # Only then is the host's 127.0.0.1 the container's: no virtual machine, no engine elsewhere,
    # no network namespace of a rootless engine.
    shares = (
        sys.platform == "linux"
        and "Docker Desktop" not in str(info.get("OperatingSystem"))
        and address.startswith("unix:")
        and not any("rootless" in option for option in info.get("SecurityOptions") or ())
    )
    return Engine(shares, int(info.get("NCPU") or 1), address)


def start(
    folder: Path, max_connections: int, engine: Engine, *, restarts: bool = False, fills: bool = False,
    profile: Profile | None = None,
) -> Started:  # fmt: skip
    """Starts a new Compose project and creates the accounts; returns when the server answers.

    ``folder`` takes the note that :func:`stop` needs; ``max_connections`` is the server's. Its data outlives
    its process if it ``restarts``; its disk is small if that ``fills``, which takes memory; it has the CPUs
    and the memory of a ``profile``. Raises
    :class:`ServerUnavailable`, or :class:`NoEngine` if the server only answers on another network. The caller
    has to :func:`stop` whatever was started by then.
    """
    service = "mysql" if engine.shares_network else "mysql-published"
    image = f"mysql:{os.environ.get('MYSQL_VERSION') or '9.7'}"
    new_project(folder, engine, service, image, "MYSQL_VERSION, or use --server local")
    root = secrets.token_hex(16)
    for attempt in range(1, ATTEMPTS + 1):
        chosen = ports.choose()
        superuser = Dsn("127.0.0.1", chosen.admin, "root", root)
        values = {
            **_values(chosen, max_connections, root, engine, profile),
            **({"LOADTEST_TMPFS": "/unused"} if restarts else {}),
            **({"LOADTEST_TMPFS_SIZE": SMALL_DISK} if fills else {}),
        }
        try:
            up(folder, service, values)
            _wait(folder, superuser, chosen.functions if engine.shares_network else PORT_INSIDE)
            break
        except NoEngine:
            raise
        except (Exited, ServerUnavailable) as error:
            raced = any(sign in str(error).lower() for sign in PORT_TAKEN)
            if not raced or attempt == ATTEMPTS or ports.fixed():
                raise ServerUnavailable(f"MySQL did not start in Docker: {error}") from None
            stop(folder, keep_note=True)
    passwords = Passwords()
    with connections.session(superuser) as cursor:
        for statement in passwords.statements(flavour.MYSQL):
            cursor.execute(statement)
    warnings = _too_large_here(profile, engine)
    if engine.shares_network:
        return passwords.started(chosen, warnings=warnings)
    return passwords.started(chosen, "published", (PUBLISHED_WARNING, *warnings))


def _too_large_here(profile: Profile | None, engine: Engine) -> tuple[str, ...]:
    if profile is None or os.environ.get("LOADTEST_CPUS") or profile.cpus <= engine.cpus_count:
        return ()
    return (f"{profile.name} has {profile.cpus:g} CPUs, and this machine {engine.cpus_count}",)


def new_project(folder: Path, engine: Engine, service: str, image: str, advice: str) -> None:
    """Notes a new Compose project in ``folder``, and pulls its ``service``'s ``image`` if it is missing.

    ``advice`` is what to check beside the network if it cannot be had. Raises :class:`ServerUnavailable`.
    """
    project = f"loadtest-{os.getuid()}-{secrets.token_hex(4)}"
    note = {"project": project, "address": engine.address, "file": str(compose_file())}
    (folder / PROJECT).write_text(json.dumps(note), "utf-8")
    if _docker(["image", "inspect", image], ENGINE_S).returncode == 0:
        return
    try:
        _compose(folder, ["pull", "--quiet", service], PULL_S)
    except ServerUnavailable as error:
        raise ServerUnavailable(
            f"the image {image} is missing and cannot be pulled ({error}): check the network and {advice}"
        ) from None


def up(folder: Path, service: str, values: dict[str, str]) -> None:
    """Starts a ``service`` of the folder's project; ``values`` are the variables of the Compose file.

    Raises :class:`ServerUnavailable`.
    """
    _compose(folder, ["up", "--detach", "--pull", "never", service], START_S, values)


def _values(
    chosen: ports.Ports, max_connections: int, root: str, engine: Engine, profile: Profile | None = None
) -> dict[str, str]:
    cpus = min(2 if profile is None else profile.cpus, engine.cpus_count)
    # the server needs 156 KB and a thread per connection
    memory_mb = 1536 + max_connections // 3
    if profile is not None:
        memory_mb = max(memory_mb, int(profile.memory_gib * 1024))
    return {
        "LOADTEST_PORT": str(chosen.functions),
        "LOADTEST_ADMIN_PORT": str(chosen.admin),
        "LOADTEST_MAX_CONNECTIONS": str(max_connections),
        "LOADTEST_ROOT_PASSWORD": root,
        "LOADTEST_CPUS": os.environ.get("LOADTEST_CPUS") or f"{cpus:g}",
        "LOADTEST_MEMORY": os.environ.get("LOADTEST_MEMORY") or f"{memory_mb}m",
        # we ask ourselves: a client that is forked every 2 s disturbs what is measured
        "LOADTEST_HEALTH_INTERVAL": "1h",
    }


def stop(folder: Path, keep_note: bool = False, timeout_s: float = 30.0) -> None:
    """Takes the folder's project down, if it has one. Raises :class:`ServerUnavailable`.

    ``keep_note`` leaves the project's name in the folder, for another start.
    """
    note = folder / PROJECT
    if not note.exists():
        return
    arguments = ["--profile", "*", "down", "--timeout", "0", "--volumes", "--remove-orphans"]
    _compose(folder, arguments, timeout_s)
    if not keep_note:
        note.unlink()


def _wait(folder: Path, superuser: Dsn, port: int) -> None:
    """Waits until the server answers. ``port``: where it listens inside its network.

    Raises :class:`Exited`, :class:`NoEngine` or :class:`ServerUnavailable`.
    """
    deadline, look_at, ready_at = time.monotonic() + START_S, time.monotonic() + 1.0, inf
    while True:
        try:
            connections.connect(superuser, timeout_s=2.0).close()
            return
        except (pymysql.Error, OSError, RuntimeError) as error:
            last = error
        if time.monotonic() > look_at:
            problem = trouble(folder)
            if problem:
                raise Exited(problem)
            if ready_at == inf and _says_ready(folder, port):
                ready_at = time.monotonic()
            look_at = time.monotonic() + 1.0
        if time.monotonic() > ready_at + ELSEWHERE_S:
            raise NoEngine(
                f"Docker's engine is on another machine or network: the server that it started is ready, and "
                f"nothing answers on 127.0.0.1:{superuser.port} here",
                "run loadtest where the engine runs, or use --server local or the server's own address",
            )
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"no answer in {START_S:g} s, last: {connections.short(last)}")
        time.sleep(0.1)


def _says_ready(folder: Path, port: int) -> bool:
    """Whether the server says in its log that it listens. The docker command reaches any engine."""
    note = _object((folder / PROJECT).read_text("utf-8"))
    words = ["compose", "--project-name", note["project"], "logs", "--no-color", "--no-log-prefix"]
    said = _docker(words, ENGINE_S)
    return any(
        "ready for connections" in line and f"port: {port} " in line for line in said.stdout.splitlines()
    )


def trouble(folder: Path) -> str:
    """Why the folder's container does not run, with its last lines; "" when it runs."""
    import docker

    note = _object((folder / PROJECT).read_text("utf-8"))
    try:
        client = docker.DockerClient(base_url=note["address"], timeout=int(ENGINE_S))
    except docker.errors.DockerException:
        return ""  # an engine that only the docker command reaches, by ssh: the wait has an end anyway
    try:
        label = f"com.docker.compose.project={note['project']}"
        found: list[Any] = client.containers.list(all=True, filters={"label": label})
        if not found:
            return "its container is gone"
        state = found[0].attrs["State"]
        if state["Status"] in ("created", "running", "restarting"):
            return ""
        log = found[0].logs(tail=50).decode("utf-8", "replace").splitlines()
        telling = [line.strip() for line in log if "error" in line.lower()] or log[-1:]
        cause = "out of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
        return f"its container ended ({cause}): {' | '.join(telling[-3:]) or 'its log is empty'}"
    except docker.errors.DockerException as error:
        return f"its container cannot be looked at: {error}"
    finally:
        client.close()


def container_id(folder: Path) -> str:
    """The folder's container. Raises :class:`ServerUnavailable`."""
    note = _object((folder / PROJECT).read_text("utf-8"))
    label = f"label=com.docker.compose.project={note['project']}"
    found = docker(["ps", "--all", "--quiet", "--no-trunc", "--filter", label]).split()
    if not found:
        raise ServerUnavailable("the server's container is gone")
    return found[0]


def docker(arguments: list[str], timeout_s: float = 60.0) -> str:
    """What ``docker`` with these ``arguments`` prints. Raises :class:`ServerUnavailable`.

    ``timeout_s`` is in seconds.
    """
    done = _docker(arguments, timeout_s)
    if done.returncode:
        raise ServerUnavailable(f"docker {arguments[0]}: {_last(done.stderr)}")
    return done.stdout.strip()


def _compose(
    folder: Path, arguments: list[str], timeout_s: float, values: dict[str, str] | None = None
) -> None:
    note = _object((folder / PROJECT).read_text("utf-8"))
    command = ["compose", "--project-name", note["project"], "--file", note["file"]]
    command += ["--env-file", os.devnull, *arguments]  # a stranger's .env beside the file is not for us
    done = _docker(command, timeout_s, values)
    if done.returncode:
        raise ServerUnavailable(f"docker compose {arguments[0]}: {_last(done.stderr)}")


def _docker(
    arguments: list[str], timeout_s: float, values: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a docker command. Raises :class:`NoEngine` if it cannot run or does not end in time."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COMPOSE_", "LOADTEST_"))}
    instead = "or take --server local"
    try:
        return subprocess.run(
            ["docker", *arguments],
            env={**environment, **(values or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            start_new_session=True,  # Ctrl-C in the terminal is for us
        )
    except FileNotFoundError:
        raise NoEngine("Docker is not installed", f"install it, {instead}") from None
    except OSError as error:
        raise NoEngine(f"Docker cannot be run ({error.strerror})", f"see to its command, {instead}") from None
    except subprocess.TimeoutExpired:
        words = " ".join([word for word in arguments if word.isalpha()][:2])
        raise NoEngine(
            f"Docker is there but did not answer in {timeout_s:g} s (docker {words})",
            f"restart it, {instead}",
        ) from None


def _context_address() -> str:
    """The address that the docker command uses: it follows contexts, which the docker package does not."""
    said = _docker(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], ENGINE_S)
    return said.stdout.strip() if said.returncode == 0 else ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
