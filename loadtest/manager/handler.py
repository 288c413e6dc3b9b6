"""A handler whose body is one invocation."""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])
LATER = "its body would run when the invocation is over: put `with db.invocation(context):` inside it"


def as_invocation(invocation: Callable[[Any], AbstractContextManager[Any]], function: Handler) -> Handler:
    """``function`` of (event, context), each call within ``invocation(context)``.

    Raises :class:`TypeError` for a function that only makes a coroutine or a generator; one that turns
    out to return something to await is told at the call.
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
