"""What can be told of a MySQL connection by looking at its bytes, without taking part in it. Pure.

Source: MySQL internals manual, "Protocol Basics" and "Connection Phase". Under TLS only the server's greeting
can be read.
"""

from enum import Enum, auto

from loadtest.fleet.totals import NOT_COUNTED

HEAD = 128  # bytes of each packet that are kept: a greeting's version and id, a statement's first words
CLIENT_SSL = 0x0800
CLIENT_SEVERAL = 0x0001_0000  # may send several statements in one
CLIENT_COMPRESS = 0x20 | 0x0400_0000  # zlib and zstd
SSL_REQUEST_LENGTH = 32
QUIT, QUERY = 0x01, 0x03
WITHOUT_ANSWER = (QUIT, 0x18, 0x19)  # and COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE
OK, ERR = 0x00, 0xFF


class Packets:
    """Finds the packets in a stream of bytes that comes in pieces of any size."""

    __slots__ = ("_left", "_partial")

    def __init__(self) -> None:
        self._partial = b""  # the header and the first bytes of a packet that has not come yet
        self._left = 0  # bytes of the current packet that are of no interest

    @property
    def is_amid(self) -> bool:
        return bool(self._left or self._partial)

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """``(sequence number, length, head)`` of each packet whose first :data:`HEAD` bytes are there now."""
        found: list[tuple[int, int, bytes]] = []
        at = 0
        while at < len(data):
            if self._left:
                skipped = min(self._left, len(data) - at)
                self._left -= skipped
                at += skipped
                continue
            have = len(self._partial)
            self._partial += data[at : at + 4 + HEAD - have]
            if len(self._partial) < 4:
                return found
            length = int.from_bytes(self._partial[:3], "little")
            wanted = 4 + min(length, HEAD)
            if len(self._partial) < wanted:
                return found
            found.append((self._partial[3], length, self._partial[4:wanted]))
            at += wanted - have
            self._partial = b""
            self._left = length - (wanted - 4)
        return found


class Phase(Enum):
    GREETING = auto()  # the server has not said anything yet
    LOGIN = auto()
    READY = auto()
    OPAQUE = auto()  # encrypted or compressed
    REFUSED = auto()


class Wire:
    """One connection. ``server_id`` is the server's id of it, 0 while unknown; ``error_code`` that of its
    newest answer, 0 for a good one.

    ``commands_count`` counts what the client sent between its login and its goodbye, ``statements_count``
    those of them that the server counts as questions; ``is_busy``: a command waits for its answer;
    ``has_quit``: the client has said goodbye; ``may_be_several``: it may send several statements in one.
    """

    __slots__ = (
        "_answer_is_due", "_client", "_server", "commands_count", "error_code", "has_quit", "is_busy",
        "may_be_several", "phase", "server_id", "statement", "statements_count",
    )  # fmt: skip

    def __init__(self) -> None:
        self._client, self._server = Packets(), Packets()
        self._answer_is_due = False
        self.phase = Phase.GREETING
        self.server_id = self.error_code = self.commands_count = self.statements_count = 0
        self.is_busy = self.has_quit = self.may_be_several = False
        self.statement = b""  # how the newest begins

    def client_sent(self, data: bytes) -> None:
        """``data`` goes to the server."""
        if self.phase is Phase.OPAQUE:
            return
        for sequence, length, head in self._client.feed(data):
            if self.phase is Phase.LOGIN:
                flags = int.from_bytes(head[:4], "little")
                self.may_be_several |= sequence == 1 and bool(flags & CLIENT_SEVERAL)
                is_tls = length == SSL_REQUEST_LENGTH and flags & CLIENT_SSL
                if sequence == 1 and (is_tls or flags & CLIENT_COMPRESS):
                    self.phase = Phase.OPAQUE
                    return
            elif self.phase is Phase.READY and sequence == 0 and head:
                command = head[0]
                self.has_quit = command == QUIT
                self.commands_count += command != QUIT
                self.statements_count += command != QUIT and command not in NOT_COUNTED
                self.statement = head[1:] if command == QUERY else b""
                self.is_busy = self._answer_is_due = command not in WITHOUT_ANSWER

    def server_sent(self, data: bytes) -> None:
        """``data`` goes to the client."""
        if self.phase is Phase.OPAQUE:
            return
        for _, _, head in self._server.feed(data):
            is_error = head[:1] == bytes([ERR])
            if self.phase is Phase.GREETING:
                if is_error:
                    self._refused(head)
                else:
                    end = head.find(b"\0", 1)
                    self.server_id = int.from_bytes(head[end + 1 : end + 5], "little")
                    self.phase = Phase.LOGIN
            elif self.phase is Phase.LOGIN:
                if is_error:
                    self._refused(head)
                elif head[:1] == bytes([OK]):
                    self.phase = Phase.READY
            elif self._answer_is_due:
                self._answer_is_due = False
                self.error_code = _code(head) if is_error else 0
        self.is_busy = self.is_busy and self._answer_is_due

    def _refused(self, head: bytes) -> None:
        self.phase = Phase.REFUSED
        self.error_code = _code(head)

    @property
    def is_amid_packet(self) -> bool:
        """Whether the client has sent a part of a packet, and the rest is to come; False under TLS."""
        return self.phase is not Phase.OPAQUE and self._client.is_amid

    @property
    def victim(self) -> int | None:
        """The connection that the newest statement kills; None for any other statement."""
        words = self.statement.decode("utf-8", "replace").upper().split()
        if len(words) in (2, 3) and words[0] == "KILL" and words[-1].isdecimal() and "QUERY" not in words:
            return int(words[-1])
        return None


def _code(head: bytes) -> int:
    return int.from_bytes(head[1:3], "little")
