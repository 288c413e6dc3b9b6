"""Picks a server (Docker, a private one, a given one), waits until it answers, yields a Target."""

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pymysql
from pymysql.cursors import Cursor

from loadtest.dsn import Dsn
from loadtest.errors import ServerLost, ServerUnavailable, UsageError
from loadtest.server import census, compose, given, local, owned, reach, rules, schema, standing
from loadtest.server.accounts import Started
from loadtest.server.signals import undisturbed
from loadtest.server.target import Target, describe

CHOICES = ("auto", "docker", "local")
# Files beside connections: MySQL keeps 810 for tables and takes fewer connections rather than fewer
# of those; the generator has libraries and rows.
OPEN_FILES_RESERVE = 832
SERVERS_OWN_LIMIT = 100_000  # both MySQL and MariaDB take no more
RESET_S = 10.0
GIVEN_RESET_S = 5.0
_folders: dict[Dsn, Path] = {}  # of the servers that this process started
LOCK_S = 4  # below the 5 s after which a read gives up without saying why


@contextmanager
def launched(choice: str, max_connections: int) -> Iterator[Target]:
    """A seeded server for the time of the block; taken down in every case.

    ``choice``: auto, docker, local or a DSN, which is used as it is, ``max_connections`` aside.
    Raises UsageError for what cannot be, before anything starts, and ServerUnavailable.
    """
    check(choice, max_connections)
    if is_dsn(choice):
        target = given.attach(choice)
        try:
            yield target
        finally:
            with undisturbed(), suppress(ServerUnavailable, pymysql.Error):
                given.detach(target)
        return
    clean_up()
    with _new_folder() as folder:
        yield _started(choice, folder.path, max_connections)
    with undisturbed():
        _take_down(folder)


@contextmanager
def _new_folder() -> Iterator[owned.Folder]:
    """Whole or not at all, whenever a signal comes; what goes wrong within takes its server down."""
    folder = None
    try:
        with undisturbed():
            folder = owned.Folder.create()
        yield folder
    except BaseException:
        if folder is not None:
            with undisturbed(), suppress(ServerUnavailable):
                _take_down(folder)
        raise


def up(choice: str, max_connections: int) -> Target:
    """A server that outlives the command. The one that is up already when it is as wanted.

    Raises UsageError, also when another one is up, and ServerUnavailable.
    """
    check(choice, max_connections)
    if is_dsn(choice):
        raise UsageError("a given server is never started: choose auto, docker or local")
    clean_up()
    for path in owned.standing():
        target = standing.read(path)
        if target is None or not _answers(target):
            _forget(path)
        else:
            if choice in ("auto", target.kind) and target.max_connections == max_connections:
                return target
            raise UsageError(
                f"a server is up already, {standing.named(target)} with max_connections "
                f"{target.max_connections}: run loadtest server down first"
            )
    with _new_folder() as folder:
        target = _started(choice, folder.path, max_connections)
        standing.write(folder.path, target)
    folder.release()
    return target


def down() -> list[str]:
    """Takes down every server that :func:`up` left, and says which. Raises ServerUnavailable."""
    clean_up()
    gone = []
    for path in owned.standing():
        target, folder = standing.read(path), owned.locked(path)
        if folder is None:
            continue
        with undisturbed():
            _take_down(folder)
        gone.append(standing.named(target) if target else str(path))
    return gone


def seed(admin: Dsn) -> None:
    """Makes both tables anew in the DSN's database. Raises ServerUnavailable."""
    with reach.session(admin) as cursor:
        try:
            schema.create(cursor)
        except pymysql.Error as error:
            raise ServerUnavailable(
                rules.refused(
                    error,
                    f"{admin.user!r} may not create and fill tables in {admin.database!r}",
                    f"grant it CREATE, DROP, SELECT and INSERT there, or name an admin account in "
                    f"{reach.ADMIN_VARIABLE}",
                )
            ) from None


def reset(target: Target) -> None:
    """The same state before each repetition: no function connected, tables as seeded.

    What is left of functions is killed on a server of ours, waited for up to 5 s on a given one.
    Raises ServerLost when the server does not answer, or cannot be brought there in 10 s.
    """
    try:
        with _session_when_free(target) as cursor:
            _see_them_off(cursor, target)
            cursor.execute(f"SET SESSION lock_wait_timeout = {LOCK_S}")
            schema.restore(cursor)
    except ServerUnavailable as error:
        raise ServerLost(f"the server was lost: {trouble(target) or error}") from None
    except (pymysql.Error, OSError) as error:
        raise ServerLost(
            f"the server could not be brought back to its first state: {reach.short(error)}"
        ) from None


def trouble(target: Target) -> str:
    """Why a server that this process started does not run, with its last words; "" when it runs.

    For messages: a given server is never known to be in trouble.
    """
    folder = _folders.get(target.admin)
    if folder is None or not folder.is_dir():
        return ""
    return local.trouble(folder) if target.kind == "local" else compose.trouble(folder)


def lost(admin: Dsn) -> str:
    """Why the server cannot be reached any more; "" when it answers, or is only full."""
    try:
        with reach.session(admin):
            return ""
    except reach.ServerFull:
        return ""
    except ServerUnavailable as error:
        return str(error)


def check(choice: str, max_connections: int) -> None:
    """What can be said before anything starts. Raises UsageError."""
    if is_dsn(choice):
        Dsn.parse(choice)
        return
    if choice not in CHOICES:
        raise UsageError(f"unknown server {choice!r}: take {', '.join(CHOICES)} or a DSN mysql://…")
    largest = largest_max_connections()
    if not 1 <= max_connections <= largest:
        raise UsageError(
            f"max_connections {max_connections} cannot be: from 1 to {largest} here, where a process may "
            f"have {_open_files()} files open (ulimit -Hn) and {OPEN_FILES_RESERVE} are kept for others"
        )


def is_dsn(choice: str) -> bool:
    return ":" in choice


def largest_max_connections() -> int:
    """What server and generator can both carry: each connection is an open file in either."""
    return min(SERVERS_OWN_LIMIT, _open_files() - OPEN_FILES_RESERVE)


def clean_up() -> None:
    """Ends what dead owners left. One that cannot be ended now is left for the next start."""
    for folder in owned.abandoned():
        try:
            _take_down(folder)
        except ServerUnavailable:
            continue


def _open_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_000_000 if hard == resource.RLIM_INFINITY else hard


def _started(choice: str, folder: Path, max_connections: int) -> Target:
    kind, started = _pick(choice, folder, max_connections)
    target = describe(started.functions, started.admin, kind, started.path, started.warnings)
    if target.max_connections != max_connections:
        raise ServerUnavailable(
            f"{target.flavour} took max_connections {target.max_connections} where {max_connections} was "
            "asked: choose one that it takes (MariaDB none below 10, neither more than its open files)"
        )
    seed(target.admin)
    _folders[target.admin] = folder
    return target


def _pick(choice: str, folder: Path, max_connections: int) -> tuple[str, Started]:
    if choice == "local":
        return "local", local.start(folder, max_connections)
    try:
        return "docker", compose.start(folder, max_connections, compose.engine())
    except compose.NoEngine as error:
        if choice == "docker":
            raise
        with suppress(ServerUnavailable):  # what is left of it goes with the folder
            compose.stop(folder)
        if local.find() is None:
            raise ServerUnavailable(
                f"no server to be had: {error.reason}, and no mysqld or mariadbd is installed; "
                f"install one with: {local.install_command()}"
            ) from None
        started = local.start(folder, max_connections)
        return "local", replace(started, warnings=(f"a private server was taken, since {error.reason}",))


def _forget(path: Path) -> None:
    """A standing server that does not answer any more, after the machine was started again say."""
    folder = owned.locked(path)
    if folder is not None:
        with suppress(ServerUnavailable):
            _take_down(folder)


def _take_down(folder: owned.Folder) -> None:
    local.stop(folder.path)
    try:
        compose.stop(folder.path)
    except BaseException:
        folder.release()  # unlocked and still there: the next start tries again
        raise
    folder.remove()


@contextmanager
def _session_when_free(target: Target) -> Iterator[Cursor]:
    """A given server without an admin account may be full for a moment after a repetition."""
    deadline = time.monotonic() + GIVEN_RESET_S
    with ExitStack() as stack:
        while True:
            try:
                cursor = stack.enter_context(reach.session(target.admin))
                break
            except reach.ServerFull:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield cursor


def _see_them_off(cursor: Cursor, target: Target) -> None:
    ours = target.kind != "given"
    deadline = time.monotonic() + (RESET_S if ours else GIVEN_RESET_S)
    while census.take(cursor, target).connections_count:
        if time.monotonic() > deadline:
            if not ours:
                return  # somebody else's, and the warnings say that they are there
            raise ServerLost(f"connections of functions were still there after {RESET_S:g} s of killing them")
        for victim in census.others(cursor, target) if ours else ():
            with suppress(pymysql.err.OperationalError, pymysql.err.InternalError):  # gone by itself
                cursor.execute(f"KILL {victim}")
        time.sleep(0.02)


def _answers(target: Target) -> bool:
    try:
        reach.connect(target.admin, timeout_s=2.0).close()
    except (pymysql.Error, OSError):
        return False
    return True
