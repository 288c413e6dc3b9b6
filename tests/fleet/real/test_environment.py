"""Functions in real runtimes, each a process: what it is told, what it may answer, how it freezes."""

import json
import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import gevent
import psutil
import pytest

from loadtest.errors import UsageError
from loadtest.fleet.real import environment as environments
from loadtest.fleet.real.environment import Environment, Failure
from loadtest.fleet.real.launch_command import launch_of
from loadtest.fleet.real.process import LOG_BYTES
from loadtest.fleet.real.runtime_api import Request
from loadtest.settings.strategy import parse
from tests.conftest import missing

FUNCTIONS = Path(__file__).parent / "functions"
PYTHON, NODE = f"python:{FUNCTIONS}/", f"node:{FUNCTIONS}/"

EXITED = "RequestId: id-1 Error: Runtime exited with error: exit status "
DELAYED_ACK_S = 0.04  # Linux's TCP_DELACK_MIN
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(event, context): ...\n"

TIDY = """
import os, pathlib, signal, threading, time
def tidy(*_):
    threading.Timer(0.5, os._exit, [7]).start()
signal.signal(signal.SIGTERM, tidy)
def handler(event, context):
    pathlib.Path("began").touch()
    time.sleep(0.2)
"""


def launch(spec):
    (part,) = parse(f"shop=lambda:{spec}")
    return launch_of(part, "")


@contextmanager
def running(spec, tmp_path):
    if spec.startswith("node:") and shutil.which("node") is None:
        missing("Node.js is not installed (Debian: apt-get install nodejs)")
    made = Environment(launch(spec), {}, tmp_path / "log")
    try:
        made.start()
        yield made
    finally:
        made.kill()


def invoke(environment, event=None, left_s=3.0, number=1):
    request = Request(
        f"id-{number}", json.dumps(event).encode(), int(1000 * (time.time() + left_s)), "arn:x", "Root=1"
    )
    with gevent.Timeout(20):
        return environment.invoke(request)


def answer(environment, event=None, number=1):
    outcome = invoke(environment, event, number=number)
    assert outcome.failure is None, outcome
    return json.loads(outcome.answer)


def processes_of(environment):
    session = environment._process.pid
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def test_a_python_function_gets_what_lambda_gives_it(tmp_path):
    with running(PYTHON + "app.about", tmp_path) as environment:
        told = answer(environment, {"id": "7/0", "group": 3})
    assert told["event"] == {"id": "7/0", "group": 3}
    assert (told["id"], told["name"], told["arn"]) == ("id-1", "shop", "arn:x")
    assert 0 < told["left_ms"] <= 3000


def test_its_own_variables_go_over_defaults_and_not_over_what_aws_reserves(tmp_path):
    (tmp_path / "app.py").write_text("import os\ndef handler(event, context): return dict(os.environ)\n")
    (tmp_path / "function.toml").write_text('[environment]\nLANG = "C.UTF-8"\nAWS_REGION = "eu-west-3"\n')
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        found = answer(environment)
    assert (found["LANG"], found["AWS_REGION"], found["TZ"]) == ("C.UTF-8", "us-east-1", ":UTC")


def test_a_container_serves_one_invocation_after_another(tmp_path):
    with running(PYTHON + "app.about", tmp_path) as environment:
        assert answer(environment)["pid"] == answer(environment)["pid"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (PYTHON + "app.fails", Failure("ValueError", "no")),
        (NODE + "common.fails", Failure("TypeError", "no")),
        (NODE + "common.callsWithError", Failure("RangeError", "too far")),
        (PYTHON + "app.exits", Failure("Runtime.ExitError", EXITED + "3")),
        (NODE + "common.exits", Failure("Runtime.ExitError", EXITED + "4")),
        (NODE + "common.breaksOff", Failure("EvalError", "broken off")),
    ],
)
def test_a_function_that_fails_says_with_what(tmp_path, spec, expected):
    with running(spec, tmp_path) as environment:
        assert environment.failure is None
        assert invoke(environment).failure == expected


@pytest.mark.parametrize(
    ("runtime", "file", "text", "kind"),
    [
        ("python", "app.py", "def handler(event, context)\n", "Runtime.UserCodeSyntaxError"),
        ("python", "app.py", "import a_module_that_is_not_installed\n", "Runtime.ImportModuleError"),
        ("python", "app.py", "def another(event, context): ...\n", "Runtime.HandlerNotFound"),
        ("python", "app.py", "raise OSError('no disk')\n", "OSError"),
        ("node", "app.js", "exports.handler = async () => {\n", "Runtime.UserCodeSyntaxError"),
        ("node", "app.js", "require('not-there');\n", "Runtime.ImportModuleError"),
        ("node", "app.js", "exports.another = async () => {};\n", "Runtime.HandlerNotFound"),
        ("node", "app.mjs", "throw new RangeError('too far');\n", "RangeError"),
    ],
)
def test_a_function_that_does_not_come_up_says_why_to_each_invocation(tmp_path, runtime, file, text, kind):
    (tmp_path / file).write_text(text)
    with running(f"{runtime}:{tmp_path}/app.handler", tmp_path) as environment:
        assert environment.failure.kind == kind
        assert invoke(environment).failure.kind == kind


def test_an_init_phase_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "INIT_S", 0.5)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(600)\n")
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        assert environment.failure.kind == "Sandbox.Timedout"
        wait_until_gone(environment)


def wait_until_gone(environment):
    for _ in range(100):
        if processes_of(environment) == []:
            break
        gevent.sleep(0.05)
    assert processes_of(environment) == []


@pytest.mark.parametrize(
    ("function", "expected"),
    [("common.calls", "called"), ("common.plain", "plain"), ("module.counts", 1)],
)
def test_a_node_function_may_return_promise_or_call_back(tmp_path, function, expected):
    with running(NODE + function, tmp_path) as environment:
        assert answer(environment) == expected


def test_a_node_module_keeps_its_state(tmp_path):
    with running(NODE + "module.counts", tmp_path) as environment:
        assert [answer(environment) for _ in range(3)] == [1, 2, 3]


def test_a_node_function_gets_what_lambda_gives_it(tmp_path):
    with running(NODE + "common.answers", tmp_path) as environment:
        told = answer(environment, {"group": 3})
    assert told["event"] == {"group": 3}
    assert told["id"] == "id-1"
    assert 0 < told["left"] <= 3000


def test_a_node_function_may_stream_its_answer(tmp_path):
    with running(NODE + "common.streams", tmp_path) as environment:
        outcome = invoke(environment)
    head, _, body = outcome.answer.partition(b"\0" * 8)
    assert json.loads(head) == {"statusCode": 200}
    assert body == b"piece 0;piece 1;piece 2;"


def test_a_runtime_of_ones_own_is_answered_as_lambda_answers(tmp_path):
    bootstrap = tmp_path / "bootstrap"
    bootstrap.write_text(f"#!{sys.executable}\n{(FUNCTIONS / 'bootstrap.py').read_text()}")
    bootstrap.chmod(0o755)
    with running(f"provided:{bootstrap}", tmp_path) as environment:
        assert answer(environment, {}) == {"codes": [400, 404], "handler": "bootstrap"}
        assert invoke(environment, {"fail": True}).failure == Failure("Own.Kind", "as asked")


def test_an_answer_has_at_most_six_megabytes(tmp_path):
    with running(PYTHON + "app.large", tmp_path) as environment:
        assert invoke(environment).failure.kind == "Function.ResponseSizeTooLarge"


def test_what_a_function_prints_is_kept_up_to_a_megabyte(tmp_path):
    with running(PYTHON + "app.prints", tmp_path) as environment:
        assert answer(environment) is None
        gevent.sleep(0.2)
    assert 500_000 < (tmp_path / "log").stat().st_size <= LOG_BYTES


def test_between_invocations_everything_stands_still(tmp_path):
    with running(PYTHON + "app.ticking", tmp_path) as environment:
        child = answer(environment)["child"]
        states = {}
        for _ in range(100):  # until the runtime has asked for the next one
            gevent.sleep(0.05)
            states = {process.pid: process.status() for process in processes_of(environment)}
            if set(states.values()) == {psutil.STATUS_STOPPED}:
                break
        assert set(states.values()) == {psutil.STATUS_STOPPED}
        assert child in states
        gevent.sleep(1.0)
        assert answer(environment)["longest_s"] > 0.9, "its thread stood still, and its clock has jumped"


def test_an_invocation_may_come_before_the_runtime_asks_for_the_next(tmp_path):
    with running(PYTHON + "app.about", tmp_path) as environment:
        for number in range(60):  # at once after the answer, and later
            assert answer(environment, number, number=number)["event"] == number
            gevent.sleep(0.02 * (number % 3 == 0))


def test_processes_that_share_an_environment_are_never_frozen(tmp_path):
    made = Environment(launch(PYTHON + "app.ticking"), {}, tmp_path / "log", concurrency=3)
    try:
        made.start()
        children = set()
        with gevent.Timeout(30):
            while len(children) < 3:  # three processes, each with a child; until all of them have come up
                answers = [gevent.spawn(answer, made, number=number) for number in range(3)]
                children |= {one.get()["child"] for one in answers}
        gevent.sleep(0.3)
        assert psutil.STATUS_STOPPED not in {process.status() for process in processes_of(made)}
    finally:
        made.kill()
    wait_until_gone(made)


def test_nothing_is_left_of_one_that_is_killed(tmp_path):
    with running(PYTHON + "app.ticking", tmp_path) as environment:
        answer(environment)
        assert len(processes_of(environment)) == 2
    wait_until_gone(environment)


def test_one_that_is_let_go_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "GRACE_S", 10.0)  # however busy this machine is
    with running(NODE + "common.plain", tmp_path) as environment:
        answer(environment)
        environment.terminate()
        assert environment._process.poll() == -signal.SIGTERM


def test_one_that_is_let_go_while_it_answers_does_not_freeze(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "GRACE_S", 10.0)
    (tmp_path / "app.py").write_text(TIDY)
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        answered = gevent.spawn(answer, environment)
        with gevent.Timeout(20):
            while not (tmp_path / "began").exists():
                gevent.sleep(0.01)
        environment.terminate()  # it answers, and asks for the next, before it has tidied up
        assert environment._process.poll() == 7
        answered.join()


def test_one_that_does_not_heed_it_is_killed(tmp_path):
    (tmp_path / "app.py").write_text(DEAF)
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        assert not environment.terminate()
    wait_until_gone(environment)


EXTENDED = """
import json, os, pathlib, threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"

def ask(path, body=None, **headers):
    named = {"Lambda-Extension-" + name: value for name, value in headers.items()}
    try:
        with urlopen(Request(f"{API}/{path}", body, named)) as answer:
            return answer.status, json.load(answer), dict(answer.headers)
    except HTTPError as error:
        return error.code, json.loads(error.read() or b'{"errorType": ""}')["errorType"], {}

def register(events, name="here"):
    return ask("register", json.dumps({"events": events}).encode(), Name=name)

"""


def test_an_extension_is_told_of_each_invocation_and_holds_the_freeze_up(tmp_path):
    (tmp_path / "app.py").write_text(
        EXTENDED
        + """
status, told, headers = register(["INVOKE"])
heard = []

def listen():
    while True:
        heard.append(ask("event/next", Identifier=headers["Lambda-Extension-Identifier"])[1])
        pathlib.Path("heard").write_text(json.dumps(heard))

threading.Thread(target=listen, daemon=True).start()

def handler(event, context):
    return [status, told, late(), len(heard)]

def late():
    return register([])[:2]
"""
    )
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        assert environment.is_told
        status, told, late, _ = answer(environment)
        assert (status, told) == (
            200, {"functionName": "shop", "functionVersion": "$LATEST", "handler": "app.handler"},
        )  # fmt: skip
        assert late == [403, "Extension.RegistrationForbidden"]
        with gevent.Timeout(20):
            while {process.status() for process in processes_of(environment)} != {psutil.STATUS_STOPPED}:
                gevent.sleep(0.02)
        (heard,) = json.loads((tmp_path / "heard").read_text())
        assert (heard["eventType"], heard["requestId"]) == ("INVOKE", "id-1")
        assert answer(environment)[-1] >= 1


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("register(['SHUTDOWN'])", [403, "ShutdownEventNotSupportedForInternalExtension"]),
        ("register(['OTHER'])", [403, "Extension.InvalidEventType"]),
        ("register('INVOKE')", [403, "Extension.InvalidEventType"]),
        ("register([], '')", [403, "Extension.InvalidExtensionName"]),
        ("ask('event/next', Identifier='nobody')", [403, "Extension.UnknownExtensionIdentifier"]),
        ("ask('nowhere')", [404, ""]),
    ],
)
def test_what_an_extension_may_not_do_is_answered_with_lambdas_error(tmp_path, asked, answered):
    (tmp_path / "app.py").write_text(
        f"{EXTENDED}was = {asked}[:2]\ndef handler(event, context): return was\n"
    )
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        assert not environment.is_told
        assert answer(environment) == answered


def test_an_extension_that_fails_ends_its_environment(tmp_path):
    (tmp_path / "app.py").write_text(
        EXTENDED
        + """
me = register([])[2]["Lambda-Extension-Identifier"]
ask("init/error", b'{"errorType": "Mine.Broken", "errorMessage": "no"}', Identifier=me)
def handler(event, context): ...
"""
    )
    with running(f"python:{tmp_path}/app.handler", tmp_path) as environment:
        assert environment.failure == Failure("Mine.Broken", "no")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=lambda:python:./nowhere/app.handler", "there is no app.py in "),
        ("a=lambda:python:./app", "does not end in file.function"),
        ("a=lambda:provided:./nothing", "there is no executable file "),
        ("a=lambda:ruby:./app.handler", "with python, node, provided, sam as RUNTIME"),
        ("lambda:node:./app.handler", "needs a name, as in shop="),
        ("a=managed:0.5+lambda:node:./app.handler:0.5", "needs a name, as in shop="),
        ("..=managed", "a name may have letters"),
    ],
)
def test_what_cannot_run_is_said_before_anything_starts(text, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        for part in parse(text):
            launch_of(part, str(tmp_path))


def test_an_answer_is_not_held_back_until_its_packets_are_acknowledged(tmp_path):
    with running(PYTHON + "app.about", tmp_path) as environment:
        took_s = []
        for _ in range(20):
            began_s = time.monotonic()
            answer(environment)
            took_s.append(time.monotonic() - began_s)
    assert min(took_s[1:]) < DELAYED_ACK_S


def test_a_python_without_awss_runtime_client_is_said_with_the_command(tmp_path):
    interpreter = tmp_path / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text("#!/bin/sh\nexit 1\n")
    interpreter.chmod(0o755)
    (tmp_path / "app.py").touch()
    (part,) = parse("a=lambda:python:./app.handler")
    with pytest.raises(UsageError, match=r"-m pip install awslambdaric"):
        launch_of(part, str(tmp_path))
