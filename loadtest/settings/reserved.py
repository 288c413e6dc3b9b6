"""Reserved concurrency: ``--reserved PART=N,PART=N``. Pure."""

from collections.abc import Collection, Sequence

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest


def reserved_in(text: str, parts: Collection[str]) -> dict[str, int]:
    """How many containers of each function may run at once, by the name of the part, of those in ``parts``.

    Raises :class:`UsageError` if ``text`` makes no sense; a part that is not there is left out.
    """
    found: dict[str, int] = {}
    for piece in filter(None, text.split(",")):
        part, equals, number = piece.rpartition("=")
        if not equals or not part or not (number.isascii() and number.isdigit()) or int(number) < 1:
            raise UsageError(f"reserved {piece!r}: write PART=N, as in a=20, with a comma between several")
        if part in found:
            raise UsageError(f"reserved: {part!r} is named twice")
        found[part] = int(number)
    return {part: most for part, most in found.items() if part in parts}


def reserved_alone(text: str, parts: Collection[str]) -> str:
    """What of ``text`` is for ``parts``, as an option again."""
    return ",".join(f"{part}={most}" for part, most in reserved_in(text, parts).items())


def check_reserved(
    text: str, strategies: Sequence[Collection[str]], concurrency_limit: int, least: int = 1
) -> None:
    """Raises :class:`UsageError` unless ``text`` names parts of ``strategies``, within ``concurrency_limit``.

    ``strategies`` has the names of the parts of each; ``least`` is how many each has to have, one for each
    process that shares the load.
    """
    parts = [part for one in strategies for part in one]
    everything = [piece.rpartition("=")[0] for piece in filter(None, text.split(","))]
    for part, most in reserved_in(text, everything).items():
        if part not in parts:
            known = ", ".join(dict.fromkeys(parts))
            hint = nearest(part, parts)
            raise UsageError(f"reserved: no function is called {part!r}{hint}; there are {known}")
        if most < least:
            raise UsageError(f"reserved: {part}={most} cannot be divided among {least} processes")
    for own in strategies:
        found = reserved_in(text, own)
        left = concurrency_limit - sum(found.values())
        if left < 0:
            raise UsageError(f"reserved: more than the concurrency-limit of {concurrency_limit:,}")
        if found and left < least and set(own) - found.keys():
            raise UsageError(
                f"reserved: of the concurrency-limit of {concurrency_limit:,} nothing is left for the others"
            )
