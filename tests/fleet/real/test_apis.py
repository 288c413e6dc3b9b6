"""APIs made with the routers that people use, behind the events of each gateway."""

import json
from pathlib import Path

import pytest

from loadtest.fleet.real.events import Events
from tests.fleet.real.packages import installed
from tests.fleet.real.test_environment import FUNCTIONS, PYTHON, invoke, running
from tests.swarm.locusts import run


def ask(environment, sample, *, busy=False):
    """The answer of an item's API, and what its gateway makes of it."""
    events = Events(sample, "")
    event = json.loads(events.event("7/12", 3))
    if busy:
        event["queryStringParameters"]["busy"] = "1"
        if sample == "api-gateway-rest":
            event["multiValueQueryStringParameters"]["busy"] = ["1"]
    outcome = invoke(environment, event)
    assert outcome.failure is None, outcome
    answer = json.loads(outcome.answer)
    return answer["statusCode"], json.loads(answer["body"]), events.problem(outcome.answer)


@pytest.mark.parametrize(
    ("handler", "sample"),
    [("rest", "api-gateway-rest"), ("http", "api-gateway-http"), ("alb", "alb")],
)
def test_powertools_resolvers_find_their_route_and_may_fail(tmp_path, handler, sample):
    with running(f"{PYTHON}api.{handler}", tmp_path) as environment:
        assert ask(environment, sample) == (200, {"group": "3", "id": "7/12"}, "")
        status, _, problem = ask(environment, sample, busy=True)
    assert (status, problem) == (503, "http 503")


@pytest.mark.nightly
def test_lambda_api_finds_its_route_and_may_fail(tmp_path):
    folder = installed(FUNCTIONS / "lambda-api", tmp_path / "api")
    with running(f"node:{folder}/index.handler", tmp_path) as environment:
        for sample in ("api-gateway-rest", "api-gateway-http", "alb"):
            assert ask(environment, sample) == (200, {"group": "3", "id": "7/12"}, ""), sample
            status, _, problem = ask(environment, sample, busy=True)
            assert (status, problem) == (503, "http 503"), sample


def test_a_run_counts_what_its_gateway_takes_for_failures(mariadb_target, tmp_path):
    app = tmp_path / "app.py"
    app.write_text("def handler(event, context):\n    return {'statusCode': 503, 'body': ''}\n")
    own = Path(tmp_path, "event.json")
    own.write_text('{"version": "2.0", "requestContext": {}, "rawPath": "/{{group}}", "body": "{{id}}"}')
    few = {"rate": 20.0, "duration_s": 1.0, "function_timeout_s": 15.0}
    shop = f"shop=lambda:python:{tmp_path}/app.handler"
    ran = run(mariadb_target, tmp_path / "r", shop, event=str(own), **few)
    assert ran.errors() == {"http 503"}
