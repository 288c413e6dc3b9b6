"""Which server is meant: the value of ``--server``."""

from dataclasses import dataclass

from loadtest.dsn import Dsn
from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest

KINDS = ("auto", "docker", "local")


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """``kind`` is auto, docker or local, for a server of ours; given, with its ``dsn``, for the user's."""

    kind: str
    dsn: Dsn | None = None

    @classmethod
    def parse(cls, text: str) -> "ServerChoice":
        """The choice that ``text``, the value of ``--server``, stands for.

        Raises :class:`UsageError` for what is neither one of our kinds nor a DSN.
        """
        if ":" in text:
            return cls("given", Dsn.parse(text))
        if text not in KINDS:
            raise UsageError(
                f"unknown server {text!r}{nearest(text, KINDS)}: take {', '.join(KINDS)} or a DSN mysql://…"
            )
        return cls(text)
