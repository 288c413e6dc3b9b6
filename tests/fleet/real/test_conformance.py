"""Each function runs under AWS's Runtime Interface Emulator (RIE) and under ours, and must see the same.

What is compared: what the invoker gets, one invocation after the other; what the Runtime API answers to each
call of a runtime, in order; and how often a process has served, which says whether it lives on.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loadtest.fleet.real import environment as environments
from loadtest.fleet.real.launch_command import launch_of
from loadtest.settings.strategy import parse
from tests.conftest import missing
from tests.fleet.real.both import EMULATOR, TRACE, Emulated, Ours, noted

FUNCTIONS = Path(__file__).parent / "functions" / "conformance"
PAGE = Path(__file__).parents[3] / "docs" / "functions.md"
HEADING = "## Compared with AWS's Runtime Interface Emulator\n"
MOST = 6 * 1024 * 1024 + 100

OK = ["POST", "invocation/ID/response", "1"]
FAILS = ["POST", "invocation/ID/error", '{"errorType": "Own.Kind", "errorMessage": "no"}']
INIT_FAILS = ["POST", "init/error", '{"errorType": "Own.Init", "errorMessage": "no"}']
WITH_APP = f"import sys\nsys.path.insert(0, {str(FUNCTIONS)!r})\nfrom app import *\n"


class Case(NamedTuple):
    """``invocations`` are what the events tell the function to do, for ``raw`` the calls that it makes."""

    runtime: str
    invocations: tuple[Any, ...]
    text: str = ""  # of a module of its own
    at_init: tuple[Any, ...] = ()  # calls before the first invocation
    limit_s: float = 30.0


def python(*invocations: str, **more: Any) -> Case:
    return Case("python handler", invocations, **more)


def node(*invocations: str, runtime: str = "handler", **more: Any) -> Case:
    return Case(f"node {runtime}", invocations, **more)


def raw(*invocations: list[Any], **more: Any) -> Case:
    return Case("raw", (*invocations, [OK]), **more)


CASES = {
    "a function in Python answers, again and again": python("answer", "answer just enough", "answer"),
    "a function in Python fails and lives on": python(
        "fail", "fail in its own way", "answer a set", "answer"
    ),
    "a function in Python prints a lot": python("print three megabytes", "answer"),
    "an answer in Python is a byte too large": python("answer a byte too much", "answer"),
    "a function in Python takes too long": python("take too long", "answer", limit_s=4),
    "a function in Python is killed": python("answer", "be killed", "answer"),
    "a function in Python crashes": python("crash", "answer"),
    "a function in Python ends with 0": python("exit 0", "answer"),
    "a function in Python ends with 3": python("exit 3", "answer"),
    "a function in Python calls sys.exit": python("sys.exit", "answer"),
    "a module in Python raises": python("", "", text="initialised()\nraise OSError('no disk')\n"),
    "a module in Python has a syntax error": python("", "", text="def handler(event, context)\n"),
    "a module in Python wants another in vain": python("", "", text="initialised()\nimport not_there\n"),
    "a module in Python has no handler": python("", "", text="initialised()\nhandler = None; del handler\n"),
    "a module in Python ends its process with 3": python("", "", text="initialised()\nos._exit(3)\n"),
    "a module in Python ends its process with 0": python("", "", text="initialised()\nos._exit(0)\n"),
    "a module in Python hangs": python("", "", text="time.sleep(60)\n", limit_s=1),
    "a function in Node.js answers, again and again": node("answer", "answer"),
    "a function in Node.js fails and lives on": node(
        "fail", "fail in its own way", "fail with a strange name", "throw a word", "answer a circle", "answer"
    ),
    "a function in Node.js calls back": node("answer", "fail", "answer", runtime="calls"),
    "a function in Node.js streams": node("answer", "answer", runtime="streams"),
    "a function in Node.js breaks off its stream": node("fail", "answer", "fail", runtime="streams"),
    "a function in Node.js ends with 0": node("exit 0", "answer"),
    "a function in Node.js ends with 4": node("exit 4", "answer"),
    "a function in Node.js throws where nobody catches": node("throw in a timer", "answer"),
    "a function in Node.js rejects a promise that nobody awaits": node("reject unheard", "answer"),
    "a module in Node.js throws": node("", "", text="throw new RangeError('too far');\n"),
    "a module in Node.js has a syntax error": node("", "", text="exports.handler = async () => {\n"),
    "a module in Node.js wants another in vain": node("", "", text="require('not-there-at-all');\n"),
    "a module in Node.js has no handler": node("", "", text="exports.another = () => {};\n"),
    "a runtime answers": raw([OK], [OK]),
    "a runtime answers with what is not JSON": raw([["POST", "invocation/ID/response", "{"]]),
    "a runtime answers with nothing": raw([["POST", "invocation/ID/response", ""]]),
    "a runtime answers with the most": raw([["POST", "invocation/ID/response", MOST]]),
    "a runtime answers with a byte too much": raw([["POST", "invocation/ID/response", MOST + 1]]),
    "a runtime answers with far too much": raw([["POST", "invocation/ID/response", 3 * MOST]]),
    "a runtime answers twice": raw([OK, OK, FAILS]),
    "a runtime answers what nobody asked": raw(
        [["POST", "invocation/another/response", "1"], ["POST", "invocation/another/error", "{}"], OK]
    ),
    "a runtime asks again before it has answered": raw([["GET", "invocation/next"], OK]),
    "a runtime says that it has failed": raw([FAILS], [FAILS, OK, FAILS]),
    "a runtime fails with a type in its header alone": raw(
        [["POST", "invocation/ID/error", "not JSON", {"Lambda-Runtime-Function-Error-Type": "Own.Kind"}]]
    ),
    "a runtime streams its answer": raw(
        [["POST", "invocation/ID/response", "abc", {"Lambda-Runtime-Function-Response-Mode": "streaming"}]]
    ),
    "a runtime answers in a mode that is none": raw(
        [["POST", "invocation/ID/response", "abc", {"Lambda-Runtime-Function-Response-Mode": "other"}],
         ["EXIT", 3]]
    ),
    "a runtime breaks off its answer": raw(
        [["HALF A POST", "invocation/ID/response", "abc"], FAILS, ["EXIT", 3]]
    ),
    "a runtime ends after its answer": raw([OK, ["EXIT", 3]]),
    "a runtime asks late for the next": raw([OK, ["SLEEP", 0.5]], [OK]),
    "a runtime never asks for the next": raw([OK, ["SLEEP", 60]], limit_s=2),
    "a runtime ends before its answer": raw([["EXIT", 3]]),
    "a runtime speaks of its init phase too late": raw([INIT_FAILS, OK]),
    "a runtime answers before it is asked": raw(at_init=(["POST", "invocation/ID/response", "1"],)),
    "a runtime fails in its init phase": raw([OK], at_init=(INIT_FAILS, ["EXIT", 1])),
    "a runtime fails twice in its init phase": raw([OK], at_init=(INIT_FAILS, INIT_FAILS, ["EXIT", 1])),
    "a runtime goes on after it has failed in its init phase": raw([OK], at_init=(INIT_FAILS,)),
    "a runtime calls what is not there": raw(
        [["GET", "nowhere"], ["POST", "/2015-01-01/runtime/invocation/ID/response", "1"], ["GET", "/"],
         ["GET", "invocation/next/"], ["POST", "invocation/ID/response/", "1"],
         ["GET", "/2018-06-01/ping"], OK]
    ),
    "a runtime uses the wrong method": raw(
        [["POST", "invocation/next", ""], ["GET", "invocation/ID/response"],
         ["PUT", "invocation/ID/response", "1"], ["DELETE", "invocation/ID/error"], ["GET", "init/error"], OK]
    ),
}  # fmt: skip


EMPTY = ("answer", "")
LATE = ("error", "Sandbox.Timedout", "its init phase took more than 1 s")


def exited(how: str) -> tuple[str, ...]:
    return ("error", "Runtime.ExitError", f"RequestId: ID Error: Runtime exited {how}")


class Known(NamedTuple):
    """A difference that is meant: its row in docs/functions.md, and by fact what theirs and ours are."""

    row: str
    facts: dict[str, tuple[Any, Any]]


IN_EVERY_NEXT = Known("`Lambda-Runtime-Trace-Id`", {"traces": ({"none"}, {TRACE})})
KNOWN = {
    "a module in Python ends its process with 3": Known(
        "a process that ends in its init phase",
        {f"invocation {n}": (EMPTY, exited("with error: exit status 3")) for n in (1, 2)},
    ),
    "a module in Python ends its process with 0": Known(
        "a process that ends in its init phase",
        {f"invocation {n}": (EMPTY, exited("without providing a reason")) for n in (1, 2)},
    ),
    "a module in Python hangs": Known(
        "an init phase that hangs", {f"invocation {n}": (("timeout",), LATE) for n in (1, 2)}
    ),
    "a function in Node.js breaks off its stream": Known(
        "an error in the middle of a streamed answer",
        {f"invocation {n}": (("answer", "a piece;"), ("error", "EvalError", "broken off")) for n in (1, 3)},
    ),
    "a runtime fails with a type in its header alone": Known(
        "an error whose body is not JSON",
        {"invocation 1": (("answer", "not JSON"), ("error", "Own.Kind", ""))},
    ),
    "a runtime answers in a mode that is none": Known(
        "a response mode other than `streaming`",
        {"invocation 1": (EMPTY, ("error", "Runtime.InvalidResponseModeHeader", ""))},
    ),
    "a runtime breaks off its answer": Known(
        "an answer that breaks off",
        {
            "invocation 1": (exited("with error: exit status 3"), ("error", "Runtime.TruncatedResponse", "")),
            "call 2": (
                ("HALF A POST invocation/ID/response", 0, ""),
                ("HALF A POST invocation/ID/response", 400, "TruncatedHTTPRequest"),
            ),
        },
    ),
    "a runtime never asks for the next": Known(
        "a runtime that answers and never asks for the next invocation",
        {"invocation 1": (("timeout",), ("answer", "1"))},
    ),
    "a runtime calls what is not there": Known(
        "`GET /2018-06-01/ping`",
        {"call 7": (("GET /2018-06-01/ping", 200, ""), ("GET /2018-06-01/ping", 404, ""))},
    ),
}


@pytest.fixture(scope="module")
def emulator() -> None:
    if not EMULATOR.exists():
        missing("AWS's Lambda emulator is not here (make test fetches it, or ./.ci/setup emulator PYTHON)")


def spec_of(case: Case, folder: Path) -> str:
    if case.runtime == "raw":
        bootstrap = folder / "bootstrap"
        bootstrap.write_text(f"#!{sys.executable}\n{(FUNCTIONS / 'raw.py').read_text()}")
        bootstrap.chmod(0o755)
        return f"provided:{bootstrap}"
    runtime, function = case.runtime.split()
    if not case.text:
        return f"{runtime}:{FUNCTIONS}/app.{function}"
    if runtime == "python":
        (folder / "module.py").write_text(WITH_APP + case.text)
    else:
        (folder / "module.js").write_text(case.text)
    return f"{runtime}:{folder}/module.handler"


def facts_of(side: type[Emulated] | type[Ours], case: Case, spec: str, folder: Path) -> dict[str, Any]:
    """What each invocation came to, and what the runtime noted."""
    (part,) = parse(f"shop=lambda:{spec}")
    folder.mkdir()
    variables = {"NOTES": str(folder / "notes"), "AT_INIT": json.dumps(case.at_init)}
    running = side(launch_of(part, ""), variables, folder, case.limit_s)
    found = {}
    try:
        for number, wanted in enumerate(case.invocations, 1):
            event = {"number": number, "calls" if case.runtime == "raw" else "do": wanted}
            found[f"invocation {number}"] = running.invoke(event)
    finally:
        running.close()
    return {**found, **noted(folder / "notes", case.limit_s)}


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("name", CASES)
def test_it_is_as_under_awss_own_emulator(name, tmp_path, monkeypatch):
    case = CASES[name]
    if case.runtime.startswith("node") and shutil.which("node") is None:
        missing("Node.js is not installed (Debian: apt-get install nodejs)")
    monkeypatch.setattr(environments, "INIT_S", min(environments.INIT_S, case.limit_s))
    spec = spec_of(case, tmp_path)
    theirs = facts_of(Emulated, case, spec, tmp_path / "theirs")
    ours = facts_of(Ours, case, spec, tmp_path / "ours")
    differing = {
        fact: (theirs.get(fact), ours.get(fact))
        for fact in {**theirs, **ours}
        if theirs.get(fact) != ours.get(fact)
    }
    expected = KNOWN[name].facts if name in KNOWN else {}
    if "traces" in ours:
        expected = {**expected, **IN_EVERY_NEXT.facts}
    assert differing == expected, ours


def test_every_known_difference_is_a_row_of_the_page_and_every_row_is_one():
    section = PAGE.read_text().split(HEADING)[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    assert rows[0] == "what"
    assert set(rows[1:]) == {known.row for known in (*KNOWN.values(), IN_EVERY_NEXT)}
    assert set(KNOWN) <= set(CASES)
