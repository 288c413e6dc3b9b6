"""Extensions inside a function's own process, as far as a function registers one to be told of its end.

An environment with an extension gets SIGTERM and 500 ms before it is taken away; one without is not told.
External extensions, which are programs of their own in /opt/extensions, are not started. Source: AWS Lambda
developer guide, "Using the Lambda Extensions API to create extensions", version 2020-01-01.
"""

import uuid
from collections.abc import Collection
from typing import Any

from gevent.queue import Queue

from loadtest.fleet.real.runtime_api import Refused

INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"


class Extension:
    """``is_waiting``: it has asked for its next event, and there is none."""

    def __init__(self, events: Collection[str]) -> None:
        """``events`` are what it wants to hear of."""
        self.wants_invocations = INVOKE in events
        self.is_waiting = False
        self.events: Queue[dict[str, Any] | None] = Queue()  # None: there will be no more


class Extensions:
    """Those of one environment."""

    def __init__(self) -> None:
        self._by_id: dict[str, Extension] = {}
        self.is_closed = False  # the init phase is over, and nobody may register any more

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def are_waiting(self) -> bool:
        """Whether all of them have asked for their next event, and have got all there were."""
        return all(one.is_waiting and one.events.empty() for one in self._by_id.values())

    def register(self, name: str, events: Any) -> str:
        """``name`` is the extension's own, ``events`` a list of event types. Returns its identifier.

        Raises :class:`Refused`.
        """
        if not name:
            raise Refused("Extension.InvalidExtensionName", "an extension needs a name")
        if self.is_closed:
            raise Refused("Extension.RegistrationForbidden", "the init phase is over")
        if not isinstance(events, list) or not {*map(str, events)} <= {INVOKE, SHUTDOWN}:
            raise Refused("Extension.InvalidEventType", f"events may be {INVOKE} only")
        if SHUTDOWN in events:
            message = "an extension in the function's own process is told by SIGTERM instead"
            raise Refused("ShutdownEventNotSupportedForInternalExtension", message)
        identifier = str(uuid.uuid4())
        self._by_id[identifier] = Extension(events)
        return identifier

    def known(self, identifier: str) -> Extension:
        """The extension with this ``identifier``. Raises :class:`Refused`."""
        found = self._by_id.get(identifier)
        if found is None:
            raise Refused("Extension.UnknownExtensionIdentifier", f"no extension is called {identifier!r}")
        return found

    def end(self) -> None:
        """Its environment has ended: nothing waits for events any more."""
        for one in self._by_id.values():
            one.events.put(None)

    def tell(self, event: dict[str, Any]) -> None:
        """An invocation begins: ``event`` goes to those that want to hear of it."""
        for one in self._by_id.values():
            if one.wants_invocations:
                one.events.put(event)
