"""One invocation: how long it has, and a handler whose body is one. Pure."""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])
LATER = "its body would run after the invocation: put `with db.invocation(context):` inside it"


def time_given_s(context: Any) -> float | None:
    """How long the function has, in seconds; None when it has no deadline.

    ``context`` is Lambda's, a number of seconds, or None. Raises :class:`TypeError` for anything else.
    """
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    if remaining_ms is not None:
        return float(remaining_ms()) / 1000.0
    if context is None:
        return None
    if isinstance(context, bool) or not isinstance(context, int | float):
        kind = type(context).__name__
        raise TypeError(f"a context with get_remaining_time_in_millis(), seconds or None, not {kind}")
    return float(context)


def as_invocation(invocation: Callable[[Any], AbstractContextManager[Any]], function: Handler) -> Handler:
    """``function`` of (event, context), with each call within ``invocation(context)``.

    Raises :class:`TypeError` for a function that only makes a coroutine or a generator; one that turns
    out to return something to await raises it when it is called.
    """
    if _runs_later(function):
        raise TypeError(f"{_name(function)} is a coroutine or a generator function: {LATER}")

    @functools.wraps(function)
    def wrapped(event: Any, context: Any = None, *args: Any, **kwargs: Any) -> Any:
        with invocation(context):
            answer = function(event, context, *args, **kwargs)
        if hasattr(answer, "__await__") or hasattr(answer, "__anext__"):
            getattr(answer, "close", lambda: None)()  # else Python warns that nobody awaited it
            raise TypeError(f"{_name(function)} returned something to await: {LATER}")
        return answer

    return wrapped  # type: ignore[return-value]


def _runs_later(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    candidates = (function, type(function).__call__)
    return any(
        ask(candidate)
        for candidate in candidates
        for ask in (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    )


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__name__
