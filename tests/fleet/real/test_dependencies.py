"""Whether the packages that a real function names are here."""

import json
import shutil
import sys

import pytest

from loadtest.errors import MissingHere, UsageError
from loadtest.fleet.real.dependencies import ready_launch
from loadtest.settings.strategy import parse
from tests.conftest import missing


@pytest.fixture
def folder(tmp_path):
    """A function's own, in both languages."""
    (tmp_path / "app.py").touch()
    (tmp_path / "app.js").touch()
    return tmp_path


def ready(folder, runtime, handler="app.handler"):
    if runtime == "node" and shutil.which("node") is None:
        missing("Node.js is not installed (Debian: apt-get install nodejs)")
    (part,) = parse(f"shop=lambda:{runtime}:./{handler}")
    return ready_launch(part, str(folder))


def manifest(folder, **values):
    (folder / "package.json").write_text(json.dumps(values))


# Python


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PyMySQL[rsa]>=1.1.1\nmsgspec\n",
        "pymysql==1.2.3 \\\n    --hash=sha256:00\n",
        "# a-package-that-is-not-here\nPyMySQL  # nor-this-one\n",
        "-r another.txt\n--index-url https://127.0.0.1/simple\n-e ./it\n./wheels/it-1.0-py3-none-any.whl\n",
        "it-1.0-py3-none-any.whl\nhttps://127.0.0.1/it.zip\n",
        'not-for-this-machine; sys_platform == "win32"\n',
    ],
)
def test_what_is_here_or_is_no_name_is_not_asked_for(folder, text):
    (folder / "requirements.txt").write_text(text)
    assert ready(folder, "python").command[0] == sys.executable


def test_what_python_lacks_is_said_with_the_command(folder):
    (folder / "requirements.txt").write_text("PyMySQL\nnot-here-a[x]>=2\nnot_here.b @ file:///it\n")
    with pytest.raises(MissingHere) as said:
        ready(folder, "python")
    path = folder / "requirements.txt"
    assert str(said.value) == (
        f"strategy 'shop': {sys.executable} lacks not-here-a, not_here.b: "
        f"{sys.executable} -m pip install -r {path}"
    )
    assert said.value.npm_folder == "", "nothing is installed into a Python of the user's"


def test_what_was_installed_into_the_functions_folder_is_here(folder):
    (folder / "requirements.txt").write_text("Not-Here-a\n")
    there = folder / "not_here_a-1.0.dist-info"
    there.mkdir()
    (there / "METADATA").write_text("Metadata-Version: 2.1\nName: not-here-a\nVersion: 1.0\n")
    assert ready(folder, "python").folder == str(folder)


def test_requirements_that_cannot_be_read_are_wrong_on_every_machine(folder):
    (folder / "requirements.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match=r"requirements\.txt cannot be read") as said:
        ready(folder, "python")
    assert not isinstance(said.value, MissingHere)


# Node.js


def test_a_node_function_that_names_no_packages_needs_none(folder):
    assert ready(folder, "node").function.handler == "app.handler"
    manifest(folder, type="commonjs", devDependencies={"not-here": "1"})
    assert ready(folder, "node").function.handler == "app.handler"


def test_what_npm_can_install_is_said_with_its_folder(folder):
    manifest(
        folder, dependencies={"b": "1", "@a/a": "1", "c": "1", "d": "1"}, optionalDependencies={"d": "1"}
    )
    (folder / "node_modules" / "c").mkdir(parents=True)
    with pytest.raises(MissingHere) as said:
        ready(folder, "node")
    assert str(said.value) == f"strategy 'shop': {folder} lacks @a/a, b: run npm install there"
    assert (said.value.npm_folder, said.value.packages) == (str(folder), ["@a/a", "b"])


def test_packages_of_a_workspace_are_found_above_it(folder):
    inner = folder / "inner"
    inner.mkdir()
    (inner / "app.js").touch()
    manifest(inner, dependencies={"a": "1"})
    (folder / "node_modules" / "a").mkdir(parents=True)
    assert ready(inner, "node").folder == str(inner)


@pytest.mark.parametrize(("lock", "tool"), [("yarn.lock", "yarn"), ("pnpm-lock.yaml", "pnpm")])
def test_what_another_tool_has_locked_npm_does_not_install(folder, lock, tool):
    manifest(folder, dependencies={"a": "1"})
    (folder / lock).touch()
    with pytest.raises(MissingHere, match=rf"lacks a: run {tool} install there") as said:
        ready(folder, "node")
    assert said.value.npm_folder == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"dependencies": "a"}', "\xff"])
def test_a_package_json_that_cannot_be_read_is_wrong_on_every_machine(folder, text):
    (folder / "package.json").write_text(text, "latin-1")
    with pytest.raises(UsageError, match=r"package\.json cannot be read") as said:
        ready(folder, "node")
    assert not isinstance(said.value, MissingHere)
