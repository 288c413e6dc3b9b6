"""Starts the server that was chosen, waits until it answers, and takes it down."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pymysql

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.open_files import open_files_limit
from loadtest.server import compose, connections, dsn_server, haproxy, local, server_folders, state_file
from loadtest.server.accounts import Started
from loadtest.server.choice import ServerChoice
from loadtest.server.reset import seed
from loadtest.server.signals import undisturbed
from loadtest.server.target import Target, describe
from loadtest.settings.profiles import Profile

# Files beside connections: MySQL keeps 810 for tables and takes fewer connections rather than fewer
# of those; the generator has libraries and rows.
OPEN_FILES_RESERVE = 832
SERVERS_OWN_LIMIT = 100_000  # both MySQL and MariaDB take no more


@contextmanager
def launched(
    choice: ServerChoice,
    max_connections: int,
    *,
    restarts: bool = False,
    fills: bool = False,
    profile: Profile | None = None,
) -> Iterator[Target]:
    """A seeded server for the duration of the block, which is always taken down.

    One of ours keeps its data if it ``restarts``, and one in Docker has a small disk if that ``fills``, and
    the CPUs and the memory of a ``profile``. A server of the user's is used as it is, whatever
    ``max_connections`` says.
    Raises UsageError before anything starts, and ServerUnavailable.
    """
    check(choice, max_connections)
    if profile is not None and choice.dsn is not None:
        raise UsageError(
            f"profile {profile.name} is for a server that is started for it (--server docker or local): one "
            "that is given is never reconfigured"
        )
    clean_up()
    if choice.dsn is not None:
        target = dsn_server.attach(choice.dsn)
        try:
            yield target
        finally:
            with undisturbed(), suppress(ServerUnavailable, pymysql.Error):
                dsn_server.detach(target)
        return
    with new_folder() as folder:
        yield _started(choice.kind, folder, max_connections, restarts=restarts, fills=fills, profile=profile)


@contextmanager
def new_folder() -> Iterator[Path]:
    """A folder for something that is started for the block, and taken down with it afterwards."""
    with _new_folder() as folder:
        yield folder.path
    with undisturbed():
        _take_down(folder)


@contextmanager
def _new_folder() -> Iterator[server_folders.Folder]:
    """Created completely or not at all, whenever a signal comes. An error in the block takes it down."""
    folder = None
    try:
        with undisturbed():
            folder = server_folders.Folder.create()
        yield folder
    except BaseException:
        if folder is not None:
            with undisturbed(), suppress(ServerUnavailable):
                _take_down(folder)
        raise


def up(choice: ServerChoice, max_connections: int) -> Target:
    """A server that outlives the command; one that is already up, if it is what was asked for.

    ``max_connections`` is the server's. Raises UsageError, also if a different one is up, and
    ServerUnavailable.
    """
    check(choice, max_connections)
    if choice.dsn is not None:
        raise UsageError("a given server is never started: choose auto, docker or local")
    clean_up()
    for path in server_folders.standing():
        target = state_file.read(path)
        if target is None or not _answers(target):
            _forget(path)
        else:
            if choice.kind in ("auto", target.kind) and target.max_connections == max_connections:
                return target
            raise UsageError(
                f"a server is up already, {state_file.described(target)} with max_connections "
                f"{target.max_connections}: run loadtest server down first"
            )
    with _new_folder() as folder:
        target = _started(choice.kind, folder.path, max_connections)
        state_file.write(folder.path, target)
    folder.release()
    return target


def down() -> list[str]:
    """Takes down every server that :func:`up` started, and returns their names. Raises ServerUnavailable."""
    clean_up()
    gone = []
    for path in server_folders.standing():
        target, folder = state_file.read(path), server_folders.locked(path)
        if folder is None:
            continue
        with undisturbed():
            _take_down(folder)
        gone.append(state_file.described(target) if target else str(path))
    return gone


def check(choice: ServerChoice, max_connections: int) -> None:
    """Raises UsageError for ``max_connections`` below 1, or above what open files allow a server of ours."""
    if choice.dsn is not None:
        return
    largest = largest_max_connections()
    if largest < 1:
        raise UsageError(
            f"a process may have {open_files_limit()} files open here (ulimit -Hn), and a server and its "
            f"load need {OPEN_FILES_RESERVE} besides one for each connection: raise the limit, or name a "
            "server of your own with --server mysql://…"
        )
    if not 1 <= max_connections <= largest:
        raise UsageError(
            f"max_connections {max_connections} cannot be: from 1 to {largest} here, where a process may "
            f"have {open_files_limit()} files open (ulimit -Hn) and {OPEN_FILES_RESERVE} are kept for others"
        )


def largest_max_connections() -> int:
    """The most that server and generator can both handle: each connection is an open file in both."""
    return min(SERVERS_OWN_LIMIT, open_files_limit() - OPEN_FILES_RESERVE)


def clean_up() -> None:
    """Takes down servers whose owners died. What cannot be taken down now is left for the next start."""
    for folder in server_folders.abandoned():
        try:
            _take_down(folder)
        except ServerUnavailable:
            continue


def _started(
    kind: str, folder: Path, max_connections: int, *, restarts: bool = False, fills: bool = False,
    profile: Profile | None = None,
) -> Target:  # fmt: skip
    kind, started = _pick(kind, folder, max_connections, restarts=restarts, fills=fills, profile=profile)
    if profile is not None and kind == "local":
        text = f"a private server has this machine's CPUs and memory, not those of {profile.name}"
        started = replace(started, warnings=(*started.warnings, text))
    target = describe(started.functions, started.admin, kind, started.path, started.warnings)
    if target.max_connections != max_connections:
        raise ServerUnavailable(
            f"{target.flavour} took max_connections {target.max_connections} where {max_connections} was "
            "asked: choose one that it takes (MariaDB none below 10, neither more than its open files)"
        )
    seed(target.admin)
    server_folders.remember(target.admin, folder)
    return target


def _pick(
    choice: str, folder: Path, max_connections: int, *, restarts: bool, fills: bool, profile: Profile | None
) -> tuple[str, Started]:
    if choice == "local":
        return "local", local.start(folder, max_connections)
    try:
        engine = compose.engine()
        started = compose.start(
            folder, max_connections, engine, restarts=restarts, fills=fills, profile=profile
        )
        return "docker", started
    except compose.NoEngine as error:
        if choice == "docker":
            raise
        with suppress(ServerUnavailable):  # what is left of it goes with the folder
            compose.stop(folder)
        if local.find() is None:
            raise ServerUnavailable(
                f"no server is available: {error.reason}, and no mysqld or mariadbd is installed; "
                f"install one with: {local.install_command()}"
            ) from None
        started = local.start(folder, max_connections)
        return "local", replace(started, warnings=(f"a private server was started, since {error.reason}",))


def _forget(path: Path) -> None:
    """Forgets a standing server that no longer answers, for example after a reboot."""
    folder = server_folders.locked(path)
    if folder is not None:
        with suppress(ServerUnavailable):
            _take_down(folder)


def _take_down(folder: server_folders.Folder) -> None:
    local.stop(folder.path)
    haproxy.stop(folder.path)
    try:
        compose.stop(folder.path)
    except BaseException:
        folder.release()  # unlocked and still there: the next start tries again
        raise
    folder.remove()


def _answers(target: Target) -> bool:
    try:
        connections.connect(target.admin, timeout_s=2.0).close()
    except (pymysql.Error, OSError):
        return False
    return True
