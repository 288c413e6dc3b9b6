"""Adds the tab to Locust's web page. Importing this module is enough: it listens to Locust's start.

Nothing happens without a page, whether headless or in a bench.
"""

import os
import sys
from typing import Any

from locust import events

from loadtest.swarm.listeners import run_of  # first: its listener makes the run


@events.init.add_listener  # type: ignore[untyped-decorator]
def install(environment: Any, **_: Any) -> None:
    from locust.runners import WorkerRunner

    if "LOADTEST_REPETITION" in os.environ:
        return
    if isinstance(environment.runner, WorkerRunner):
        from loadtest.webui.live import answer_looks

        answer_looks(run_of(environment))
    elif environment.web_ui is not None:
        from loadtest.errors import LoadtestError
        from loadtest.webui.page import add_to

        try:
            add_to(environment, run_of(environment))
        except LoadtestError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(error.exit_code)
