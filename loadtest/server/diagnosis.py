"""What is wrong with a server, for messages."""

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import compose, connections, local, server_folders
from loadtest.server.target import Target


def trouble(target: Target) -> str:
    """Why a server that this process started does not run, with the end of its log; "" if it runs.

    Nothing is known about a server that the user named, so that gives "", too.
    """
    folder = server_folders.folder_of(target.admin)
    if folder is None or not folder.is_dir():
        return ""
    return local.trouble(folder) if target.kind == "local" else compose.trouble(folder)


def lost(admin: Dsn) -> str:
    """Why the server cannot be reached any more; "" if it answers, or is merely full."""
    try:
        with connections.session(admin):
            return ""
    except connections.ServerFull:
        return ""
    except ServerUnavailable as error:
        return str(error)
