"""The disk of a server of ours is full for a while: a file takes what is left of it."""

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import compose, server_folders
from loadtest.server.target import Target

DATA = "/var/lib/mysql"
FILLER = f"{DATA}/loadtest-filler"
# Elsewhere than on a file system of its own, in memory, the disk would be this machine's.
IS_SMALL = f'test "$(stat -f -c %T {DATA})" = tmpfs'
# What the server has taken between the two is left out of the first, and whatever is left goes to the second.
FILL = (
    f"{IS_SMALL} || exit 3; "
    f'fallocate -l "$(df --output=avail -B1 {DATA} | tail -1)" {FILLER}; '
    f"head -c 1G /dev/zero >> {FILLER} 2> /dev/null; test -s {FILLER}"
)


class FullDisk:
    """The disk under the data of the server of ``target``, a Docker container with its data in memory."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __repr__(self) -> str:
        return f"<FullDisk of {self._target.admin}>"

    def check(self, text: str) -> None:
        """Raises :class:`UsageError` if fault ``text`` cannot be here."""
        try:
            self._run(IS_SMALL)
        except (UsageError, ServerUnavailable):
            raise UsageError(only_docker(text)) from None

    def fill(self) -> None:
        """Returns once nothing is left. Raises :class:`ServerUnavailable`."""
        self._run(FILL)

    def free(self) -> None:
        """What was taken is free again. Raises :class:`ServerUnavailable`."""
        self._run(f"rm -f {FILLER}")

    def _run(self, script: str) -> None:
        folder = server_folders.folder_of(self._target.admin)
        if folder is None or self._target.kind != "docker":
            raise UsageError("its disk is not ours")
        compose.docker(["exec", compose.container_id(folder), "sh", "-c", script])


def only_docker(text: str) -> str:
    """Why fault ``text`` cannot be on another server."""
    return (
        f"fault {text!r} cannot be on this server: it takes a disk of limited size, which only the server "
        "has that loadtest starts in Docker (--server docker)"
    )
