"""Lifecycles as transition tables, in which an illegal move raises. Pure."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar


class Quick(Enum):
    """An Enum that is hashed by identity: Enum's own hash is slow Python code."""

    __hash__ = object.__hash__


class IllegalMove(Exception):
    """A move that the state does not allow: a defect of the harness."""


S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


def moved(table: Mapping[tuple[S, E], S], state: S, event: E, of: object) -> S:
    """The next state of the object ``of``, by a table from (state, event) to state.

    Raises :class:`IllegalMove`, which names the object and the event, for a move that ``table`` does not
    have.
    """
    try:
        return table[state, event]
    except KeyError:
        raise IllegalMove(f"{event.name} in {of!r}") from None
