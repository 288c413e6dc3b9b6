"""A strategy whose runtime is not on this machine is left out, with the reason; others run."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.places import QUICK, path_without

ROOT = Path(__file__).parent.parent
PLAIN = "lambda:node:./plain/index.handler"
NEEDY = "lambda:node:./needy/index.handler"
PYTHON = "lambda:python:./python/app.handler"


@pytest.fixture
def functions(place):
    """Functions of which none can run, for one reason or another."""
    for name in ("plain", "needy"):
        folder = place.folder / name
        folder.mkdir()
        (folder / "index.js").touch()
    (place.folder / "needy" / "package.json").write_text(json.dumps({"dependencies": {"answer": "1"}}))
    folder = place.folder / "python"
    folder.mkdir()
    (folder / "app.py").touch()
    (folder / "requirements.txt").write_text("not-here-a\n")


@pytest.fixture
def without_node(tmp_path):
    return {"PATH": path_without(tmp_path / "path", "node", "npm")}


@pytest.fixture
def without_npm(tmp_path):
    if shutil.which("node") is None:
        missing("Node.js is not installed (Debian: apt-get install nodejs)")
    return {"PATH": path_without(tmp_path / "path", "npm")}


def bench(place, strategies, *more, env=None):
    return place.run("bench", *QUICK, "--strategies", strategies, "--out", "run", *more, env=env)


@pytest.mark.nightly
@pytest.mark.usefixtures("functions")
def test_what_is_not_here_is_a_warning_everywhere_and_the_others_run(place, without_node):
    ran = bench(place, f"direct,shop={PLAIN},py={PYTHON},mixed={PLAIN}", "--json", env=without_node)
    assert ran.code == 0, ran
    summary = json.loads(ran.out)
    assert list(summary["arms"]) == ["direct"]
    node = "was not run: Node.js is not installed (Debian: apt-get install nodejs)"
    expected = [f"shop {node}", f"mixed {node}"]
    said = json.loads((place.folder / "run" / "run.json").read_text())["warnings"]
    assert [text for text in said if not text.startswith("py ")] == expected
    (python,) = [text for text in said if text.startswith("py ")]
    assert python.startswith("py was not run: ")
    assert "lacks not-here-a: " in python
    assert f"-m pip install -r {place.folder}/python/requirements.txt" in python
    assert [text for text in summary["warnings"] if "was not run" in text] == said, "each once"
    assert [line.removeprefix("loadtest: warning: ") for line in ran.err.splitlines()[:3]] == said
    assert "shop was not run" in (place.folder / "run" / "report.md").read_text()


@pytest.mark.usefixtures("functions")
@pytest.mark.nightly
def test_a_budget_on_what_was_left_out_is_undecided(place, without_node):
    ran = bench(place, f"direct,shop={PLAIN}", "--budget", "shop.error_ratio == 0", env=without_node)
    assert ran.code == 4, ran
    assert "undecided shop.error_ratio == 0: shop.error_ratio: shop was not run" in ran.err
    assert place.run("report", "run").code == 4


@pytest.mark.nightly
@pytest.mark.usefixtures("functions")
def test_in_json_what_was_left_out_is_an_event(place, without_node):
    ran = bench(place, f"direct,shop={PLAIN}", "--log-format", "json", env=without_node)
    first = json.loads(ran.err.splitlines()[0])
    assert (first["event"], first["message"][:12]) == ("warning", "shop was not")


@pytest.mark.usefixtures("functions")
@pytest.mark.nightly
def test_without_npm_what_needs_no_packages_can_run(place, without_npm):
    (place.folder / "plain" / "index.js").write_text("exports.handler = async () => 1;\n")
    ran = bench(place, f"plain={PLAIN},needy={NEEDY}", "--rate", "20", "--json", env=without_npm)
    assert ran.code == 0, ran
    assert list(json.loads(ran.out)["arms"]) == ["plain"]
    assert (
        f"needy was not run: {place.folder}/needy lacks answer: run npm install there; npm is not installed "
        "(Debian: apt-get install npm)"
    ) in ran.err


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("strategies", "said"),
    [
        (f"shop={PLAIN},py={PYTHON}", "strategy 'shop': Node.js is not installed"),
        (f"shop={PLAIN}:0.5+direct:0.5", "strategy 'shop': Node.js is not installed"),
        (
            f"direct,shop={PLAIN},no=lambda:node:./plain/no.handler",
            "there is no no.js or no.mjs or no.cjs in ",
        ),
        (
            f"direct,shop={PLAIN},no=lambda:perl:./plain/no.handler",
            "with python, node, provided, sam as RUNTIME",
        ),
    ],
)
def test_if_none_is_left_or_one_is_wrong_nothing_runs(place, without_node, strategies, said):
    refused = place.refused(2, "bench", *QUICK, "--strategies", strategies, env=without_node)
    assert said in refused


@pytest.mark.usefixtures("functions")
def test_the_page_has_one_strategy_and_cannot_do_without_it(place, without_node):
    refused = place.refused(2, "web", "--server", "local", "--strategy", f"shop={PLAIN}", env=without_node)
    assert refused.endswith("Node.js is not installed (Debian: apt-get install nodejs)")


def test_a_path_without_a_program_still_has_the_others(without_node):
    assert shutil.which("node", path=without_node["PATH"]) is None
    assert shutil.which("sh", path=without_node["PATH"])
    assert without_node["PATH"] != os.environ["PATH"] or shutil.which("node") is None
