"""What the functions of one worker have done at the server since the repetition began, counted as it happens.

The counts do not come from the rows: both, and the server's own counters, have to agree in the end.
"""

from typing import Any

from loadtest.results.rows import GeneratorSecond

COUNTED = ("connects_count", "opened_count", "refused_count", "quits_count", "statements_count")
# COM_STATISTICS, COM_PING, COM_STMT_PREPARE, COM_STMT_CLOSE and COM_STMT_RESET: MySQL 8.4 manual, 7.1.10,
# "Questions"; MariaDB 10.11 leaves out the same (measured).
NOT_COUNTED = frozenset({0x09, 0x0E, 0x16, 0x19, 0x1A})


class Totals:
    """Counts; the names are those of the columns of ``generator.csv``."""

    __slots__ = (*COUNTED, "is_opaque", "may_be_several")

    def __init__(self) -> None:
        self.connects_count = self.opened_count = self.refused_count = 0
        self.quits_count = self.statements_count = 0
        self.is_opaque = False  # a connection is encrypted by the function itself
        self.may_be_several = False  # a connection may send several statements in one

    def __repr__(self) -> str:
        return f"<Totals {', '.join(f'{name} {getattr(self, name)}' for name in COUNTED)}>"

    def sent(self, command: int) -> None:
        """A function has sent the ``command`` of this number, such as 3 for COM_QUERY; not for COM_QUIT."""
        self.statements_count += command not in NOT_COUNTED

    def written_into(self, row: GeneratorSecond) -> GeneratorSecond:
        """``row`` with these counts; what cannot be known of them stays None."""
        found: dict[str, Any] = {name: getattr(self, name) for name in COUNTED}
        if self.is_opaque:
            found |= dict.fromkeys(("refused_count", "quits_count", "statements_count"))
        if self.may_be_several:
            found["statements_count"] = None
        return row._replace(**found)
