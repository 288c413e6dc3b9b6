"""The routes, and what is added to Locust's page through its extension points."""

import json
import logging
import os
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flask
from gevent.lock import RLock

from loadtest.bench.locust_command import rate_per_user, users_count
from loadtest.errors import LoadtestError
from loadtest.settings.plan import Plan
from loadtest.settings.plan_options import build, options
from loadtest.settings.scenario import read_scenario, scenario_names
from loadtest.settings.strategy import STRATEGIES
from loadtest.swarm.options import model_of, option_names, settings_from, settings_of
from loadtest.swarm.process_setup import check_strategy, check_ways
from loadtest.swarm.run import Run
from loadtest.webui import form, guard
from loadtest.webui.downloads import Downloads
from loadtest.webui.live import Live

log = logging.getLogger("loadtest")
MODELS = {"arrivals": "open", "rate_per_user": "open", "think_time_ms": "closed", "lifetime": "closed"}
TAB = {"title": "Connections", "key": "connections"}
NEWEST = {"report": "loadtest's report", "rows.csv": "all rows as CSV", "rows.parquet": "all rows as Parquet"}
CLEANING_UP = b'"cleanup"'
SCRIPTS = ("connections.js", "fleet.js", "form.js")


def add_to(environment: Any, run: Run) -> None:
    """Adds the tab, the form's check and the downloads to the page of a master or single process.

    Raises :class:`LoadtestError` for a Locust whose page cannot be extended.
    """
    ui = environment.web_ui
    missing = [name for name in ("app", "template_args", "auth_required_if_enabled") if not hasattr(ui, name)]
    if missing:
        raise LoadtestError(
            f"this version of Locust cannot be extended by the Connections tab (its page has no "
            f"{', '.join(missing)}): install locust 2.47 or later"
        )
    page = Page(environment, run)
    page.install(ui)
    if not guard.is_loopback(ui.host or "") and not ui.web_login:
        log.warning(
            "everybody who reaches %s:%s can start tests here: listen on 127.0.0.1 (--web-host), or ask for "
            "a login (--web-login)",
            ui.host or "this machine", ui.port,
        )  # fmt: skip


class Page:
    """One per process; ``live`` has what it shows."""

    def __init__(self, environment: Any, run: Run) -> None:
        self._environment = environment
        self._run = run
        self._strategies = list(dict.fromkeys((*STRATEGIES, environment.parsed_options.strategy)))
        self._plots = subprocess.Popen(
            [sys.executable, "-P", "-m", "loadtest.webui.plots"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._drawn, self._drawing = b"", RLock()
        self.live = Live(run, lambda: (environment.parsed_options.strategy, settings_of(environment)))
        self._downloads = Downloads(self.live)

    def install(self, ui: Any) -> None:
        """Adds our routes, tab and listeners to ``ui``, Locust's page."""
        ui.template_args["extended_tabs"] = [TAB]
        ui.template_args["extended_tables"] = []
        ui.template_args["extended_csv_files"] = [
            {"href": f"./loadtest/tests/newest/{kind}", "title": f"Download {words} of the newest test"}
            for kind, words in NEWEST.items()
        ]
        self._base = (getattr(self._environment.parsed_options, "web_base_path", "") or "").rstrip("/")
        app: flask.Flask = ui.app
        app.before_request(lambda: self._guarded(ui))
        checked = ui.auth_required_if_enabled(self._checked)  # a stranger hears of the login, not of options
        app.before_request(lambda: checked() if self._starts_a_test() else None)
        app.after_request(self._extended)
        routes = {
            "assets/<name>": self._asset,
            "plots.json": self._plots_json,
            "form.json": self._form,
            "live": self._live,
            "fleet": lambda: flask.Response(self.live.watch(), mimetype="application/json"),
            "tests/<int:number>/<kind>": self._downloads.of_test,
            "tests/newest/<kind>": self._downloads.of_newest,
            "compare/<int:base>/<int:candidate>": self._downloads.compared,
        }
        for rule, view in routes.items():
            app.add_url_rule(
                f"{self._base}/loadtest/{rule}", f"loadtest-{rule}", ui.auth_required_if_enabled(view)
            )
        events = self._environment.events
        events.test_start.add_listener(lambda **_: self.live.begin())
        events.test_stop.add_listener(lambda **_: self.live.end())

    # Requests to Locust's own routes

    def _guarded(self, ui: Any) -> flask.Response | None:
        reason = guard.refusal(flask.request.host, flask.request.headers.get("Origin"), ui.host or "")
        return flask.Response(reason + "\n", 403, mimetype="text/plain") if reason else None

    def _starts_a_test(self) -> bool:
        return flask.request.method == "POST" and flask.request.path == f"{self._base}/swarm"

    def _checked(self) -> Any:
        """Checks the form before Locust uses it."""
        try:
            self._check()
        except LoadtestError as error:
            return flask.jsonify(success=False, message=str(error), host=self._environment.host)
        return None

    def _check(self) -> None:
        environment, parsed = self._environment, self._environment.parsed_options
        if environment.runner.state in ("spawning", "running", "stopping"):
            raise LoadtestError("a test is running: stop it first, since its report is about one load only")
        ours = [option for option in options() if option.name in option_names()]
        before = {name: getattr(parsed, name) for name in (*option_names(), "strategy")}
        wanted = form.read(flask.request.form, ours, before, self._strategies)
        values = {name: value for name, value in wanted.values.items() if name != "strategy"}
        settings = settings_from(values, wanted.run_time_s, model_of(environment), wanted.users_count)
        check_strategy(wanted.values["strategy"], settings)
        check_ways(wanted.values["strategy"])
        self._run.prepare(values["tls"])
        # Locust leaves an empty one as the last test had it.
        parsed.run_time = wanted.run_time_s

    def _extended(self, response: flask.Response) -> flask.Response:
        if flask.request.path == f"{self._base}/" and response.mimetype == "text/html":
            text = response.get_data(as_text=True)
            if "window.templateArgs" in text:
                response.set_data(text.replace("</body>", f"{self._added()}</body>"))
        if flask.request.path == f"{self._base}/stats/requests" and CLEANING_UP in response.get_data():
            # Locust's page asks no more once it has met this state, and never hears of the end.
            response.set_data(json.dumps({**response.get_json(), "state": "running"}))
        return response

    def _added(self) -> str:
        panel = (_static() / "panel.html").read_text("utf-8")
        links = '<link rel="stylesheet" href="./loadtest/assets/connections.css">' + "".join(
            f'<script defer src="./loadtest/assets/{name}"></script>' for name in SCRIPTS
        )
        return f'<template id="loadtest-panel">{panel}</template>{links}'

    # Our own

    def _asset(self, name: str) -> flask.Response:
        if name == "bokeh.min.js":
            return flask.send_from_directory(_bokeh(), name, max_age=86400)
        return flask.send_from_directory(str(_static()), name)

    def _plots_json(self) -> flask.Response:
        with self._drawing:  # two pages may be opened at once
            self._drawn = self._drawn or self._plots.communicate()[0]
        return flask.Response(self._drawn, mimetype="application/json")

    def _form(self) -> flask.Response:
        """The form's fields in the order of their groups, those that only the other model has, and the
        fields' values in each scenario that this model can run."""
        model = model_of(self._environment)
        plans = [build(Plan, read_scenario(name), name) for name in scenario_names()]
        return flask.jsonify(
            order=["strategy", *option_names()],
            hidden=[name for name, of in MODELS.items() if of != model],
            # A page carries out no faults, so a scenario without them would be another one.
            scenarios={p.scenario: _fields(p) for p in plans if p.model == model and not p.faults},
        )

    def _live(self) -> flask.Response:
        answer = {
            "tests": [test.line() for test in self.live.tests],
            "state": self._environment.runner.state,
            "trouble": self._run.trouble,  # of a test that could not even begin
            "live": self._news("live"),
            "other": self._news("other"),
        }
        return flask.Response(json.dumps(answer), mimetype="application/json")

    def _news(self, which: str) -> dict[str, Any] | None:
        """What the page does not have yet of the requested test; -1 is the newest."""
        asked, tests = flask.request.args, self.live.tests
        number = asked.get(which, 0, int)
        number = len(tests) if number == -1 else number
        if not 1 <= number <= len(tests):
            return None
        test = tests[number - 1]
        at_s, step_s = asked.get(f"{which}_at", -1.0, float), asked.get(f"{which}_step", 0.0, float)
        if asked.get(f"{which}_had", 0, int) != number:
            step_s = 0.0  # the page has another one's
        columns, whole = test.points.since(at_s, step_s)
        return {
            "number": number, "arm": test.arm, "trouble": test.trouble, "running": test.running,
            "now": test.newest, "workers": test.workers, "step_s": test.points.step_s, "whole": whole,
            "points": columns, "error_counts": dict(test.error_counts.most_common(8)),
        }  # fmt: skip


def _fields(plan: Plan) -> dict[str, str]:
    count = str(users_count(plan))
    ours = [option for option in options() if option.name in option_names()]
    fields = {option.name: option.text(getattr(plan, option.field)) for option in ours}
    return {
        "user_count": count,
        "spawn_rate": count,
        **fields,
        "rate_per_user": f"{rate_per_user(plan):g}",
        "shape": plan.shape or "steady",
    }


def _static() -> Path:
    return Path(str(resources.files("loadtest.webui") / "static"))


def _bokeh() -> str:
    """The path of bokeh's script. Its package is not imported, which would cost 100 MB."""
    spec = find_spec("bokeh")
    if spec is None or spec.origin is None:
        raise LoadtestError("bokeh is not installed")
    return str(Path(spec.origin).parent / "server" / "static" / "js")
