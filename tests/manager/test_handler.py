"""Handlers: the decorated body is the invocation, whatever it is made of."""

import asyncio
import functools
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtest.manager import ConnectionManager


async def coroutine(_event, _context):
    pass


async def async_generator(_event, _context):
    yield 1


def generator(_event, _context):
    yield 1


class Asynchronous:
    async def __call__(self, event, context):
        pass

    async def method(self, event, context):
        pass


@functools.wraps(coroutine)
def handing_on(event, context):
    return coroutine(event, context)


@functools.wraps(coroutine)
def running(event, context):
    with ThreadPoolExecutor(1) as elsewhere:  # a browser of other tests has a loop in this thread
        return elsewhere.submit(asyncio.run, coroutine(event, context)).result()


LATE = [
    coroutine,
    async_generator,
    generator,
    Asynchronous(),
    Asynchronous().method,
    functools.partial(coroutine, {}),
    functools.partial(functools.partial(Asynchronous(), {})),
]


@pytest.mark.parametrize("function", LATE, ids=lambda function: type(function).__name__)
def test_what_runs_after_its_call_is_refused_when_it_is_decorated(function):
    with pytest.raises(TypeError, match=r"put `with db.invocation\(context\):` inside it"):
        ConnectionManager().handler(function)


@pytest.mark.parametrize(
    "made",
    [coroutine, handing_on, lambda *_: asyncio.Future(loop=asyncio.new_event_loop()), async_generator],
    ids=["a coroutine", "a wrapped coroutine", "a future", "an async generator"],
)
def test_a_plain_function_that_returns_something_to_await_is_told_at_the_call(made):
    db = ConnectionManager()
    handler = db.handler(lambda event, context: made(event, context))
    with warnings.catch_warnings(), pytest.raises(TypeError, match="something to await"):
        warnings.simplefilter("error")
        handler({}, None)
    assert repr(db) == "<ConnectionManager no connection, 1 invocations>"


class Plain:
    def __call__(self, event, _context):
        return event["id"]


@pytest.mark.parametrize("function", [Plain(), functools.partial(Plain().__call__), Plain().__call__])
def test_callable_objects_and_partial_functions_will_do(function):
    db = ConnectionManager()
    assert db.handler(function)({"id": 7}, None) == 7
    assert db.handler(function)({"id": 8}) == 8
    assert repr(db) == "<ConnectionManager no connection, 2 invocations>"


def test_a_function_that_runs_a_coroutine_to_its_end_will_do():
    assert ConnectionManager().handler(running)({}) is None
