"""A page of Locust with ours in it, over HTTP and in a browser."""

import json
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtest.bench import locust_command, process_group
from tests.waiting import wait_until

LOCUSTFILES = Path(__file__).parent.parent.parent / "locustfiles"
FORM = {
    "user_count": 60, "spawn_rate": 60, "strategy": "cached", "duration": "4s", "work_ms": "5.0",
    "cold_start_ms": "50.0", "function_timeout": "2s",
}  # fmt: skip


class Page:
    def __init__(self, address, folder, locust):
        self.address = address
        self.folder = folder
        self.locust = locust

    def get(self, path="/", form=None, **headers):
        """Status, headers and text."""
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def json(self, path, form=None):
        status, _, text = self.get(path, form)
        assert status == 200, text
        return json.loads(text)

    def live(self):
        return self.json("/loadtest/live?live=-1")

    def swarm(self, **values):
        return self.json("/swarm", {**FORM, **values})

    def ended(self, number=1):
        return wait_until(lambda: self.is_over(number), 40, "the end of the test")

    def is_over(self, number):
        state = self.live()
        return len(state["tests"]) >= number and not state["tests"][number - 1]["running"] and state


def is_up(address):
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # it answers, with a certificate of our making
    except OSError:
        return False


@contextmanager
def page(target, folder, *words, workers=0, locustfile=None, base="", scheme="http"):
    """Plain ``locust -f locustfiles/clients.py`` with its page, and workers if any."""
    port = process_group.free_port()
    env = locust_command.environment(
        folder, {"LOADTEST_DSN": target.functions.url(), "LOADTEST_ADMIN_DSN": target.admin.url()}
    )
    path = str(locustfile or LOCUSTFILES / "clients.py")
    command = [sys.executable, "-m", "locust", "-f", path, "--web-port", str(port), *words]
    with ExitStack() as stack:
        if workers:
            bind = str(process_group.free_port())
            command += ["--master", "--master-bind-port", bind, "--master-bind-host", "127.0.0.1"]
        log = folder / "log"
        locust = process_group.start(command, folder, log, env)
        stack.callback(process_group.end, locust)
        for number in range(workers):
            worker = [sys.executable, "-m", "locust", "-f", path, "--worker", "--master-port", bind]
            started = process_group.start(worker, folder, folder / f"log-{number}", env)
            stack.callback(process_group.end, started)
        address = f"{scheme}://127.0.0.1:{port}{base}"
        try:
            wait_until(lambda: is_up(address + "/") or locust.poll() is not None, 40, log)
        except AssertionError:
            raise AssertionError(log.read_text()) from None
        assert locust.poll() is None, log.read_text()
        found = Page(address, folder, locust)
        if workers:
            wait_until(lambda: found.json("/worker-count")["worker_count"] == workers, 30)
        yield found


def shown(tab, name):
    """A current value as a number; None when it is unknown."""
    text = tab.locator(f'.lt-now [data-name="{name}"] dd').text_content(timeout=40_000)
    number = re.match(r"[\d,.]+", text)
    return float(number[0].replace(",", "")) if number else None
