"""Who may know whom. What is not allowed here would let the observed disturb the observer."""

import ast
import subprocess
import sys
import textwrap
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.places import unobserved

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "loadtest"
FLOOR = {"store", "growing", "provenance", "settings", "load_shape", "records", "errors", "dsn"}
FOLDERS = {"manager", "fleet", "server", "report"}
# A folder may know itself, the floor and these.
ALSO = {"manager": set(), "server": set(), "report": set(), "fleet": {"manager"}}
PURE = (
    "manager/policy", "manager/checks", "manager/backoff", "fleet/container", "fleet/shapes", "fleet/limits",
    "report/summary", "report/validity", "report/finding", "report/compare", "report/evidence",
    "report/student", "report/measures", "report/likeness", "report/grammar",
    "manager/attempts", "manager/deadline", "manager/session_state",
    "load_shape", "webui/form", "webui/points",
)  # fmt: skip
IMPURE = {
    "asyncio", "datetime", "gevent", "glob", "http", "io", "locust", "logging", "os", "pathlib", "psutil",
    "pymysql", "secrets", "selectors", "select", "shutil", "signal", "socket", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc", "shared"}
# Where a package may be imported at all: a module, or all of a folder.
HOMES = {
    "locust": {"fleet/users", "webui/install"},
    "pandas": {"report"},
    "docker": {"server/compose"},
    "click": {"cli", "arguments"},
    "bokeh": {"report", "webui/plots"},
    "flask": {"webui"},
    "jinja2": {"report"},
}
# Entry points of processes of their own, whose last words somebody else reads.
SPEAKERS = {"cli", "fleet/users", "server/prepare", "webui/install", "webui/plots", "webui/rows"}


def modules() -> dict[str, ast.Module]:
    """``fleet/users``: its tree, for every module of the package."""
    return {
        str(path.relative_to(PACKAGE).with_suffix("")): ast.parse(path.read_text("utf-8"), str(path))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


TREES = modules()


def dotted(name: str) -> str:
    return ".".join(("loadtest", *name.removesuffix("__init__").strip("/").split("/"))).rstrip(".")


KNOWN = {dotted(name): name for name in TREES}


def imported(tree: ast.AST) -> set[str]:
    """Dotted names, those in functions and under TYPE_CHECKING included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}: these rules do not read them"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(name: str, names: set[str] | None = None) -> set[str]:
    """The modules of the package among the names, by default all that it imports."""
    found = set()
    for wanted in imported(TREES[name]) if names is None else names:
        known = next((KNOWN[c] for c in (wanted, wanted.rpartition(".")[0]) if c in KNOWN), None)
        assert known or not wanted.startswith("loadtest."), f"{name} imports {wanted}, which is not there"
        found |= {known} - {None, "__init__"}
    return found


def strangers(name: str) -> set[str]:
    """Top-level packages that are neither ours nor the standard library's."""
    tops = {wanted.partition(".")[0] for wanted in imported(TREES[name])}
    return tops - {"loadtest"} - set(sys.stdlib_module_names)


def at_import(tree: ast.AST) -> set[str]:
    """What is imported when the module is: not in functions, not for types only."""
    names: set[str] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= imported(node)
        stack += ast.iter_child_nodes(node)
    return names


def test_the_rules_see_the_package():
    assert {name.split("/")[0] for name in TREES if "/" in name} >= FOLDERS
    assert {name for name in TREES if "/" not in name} >= FLOOR
    assert set(PURE) <= set(TREES)
    assert "fleet/run" in ours("fleet/users")
    assert "locust" in strangers("fleet/users")


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_a_folder_knows_the_floor_and_hardly_any_other_folder(folder):
    for name in TREES:
        if not name.startswith(f"{folder}/"):
            continue
        for other in ours(name):
            top, _, inside = other.partition("/")
            allowed = top in {folder, *ALSO[folder]} if inside else top in FLOOR
            assert allowed, f"{name} imports {other}"


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_the_floor_knows_nothing_above_it(name):
    assert ours(name) <= FLOOR


def test_the_manager_does_not_even_know_the_floor():
    for name in TREES:
        if name.startswith("manager/"):
            assert all(other.startswith("manager/") for other in ours(name)), name


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_io_and_no_clock(name):
    tree = TREES[name]
    assert {wanted.partition(".")[0] for wanted in imported(tree)} & IMPURE == set()
    chance = {wanted for wanted in imported(tree) if wanted.partition(".")[0] == "random"}
    assert chance <= {"random.Random"}, "chance is an argument"
    calls = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")
    }
    assert calls & {"open", "print", "input", "Random"} <= {"Random"}


@pytest.mark.parametrize("package", sorted(HOMES))
def test_a_heavy_package_is_imported_at_home_only(package):
    for name in TREES:
        if package in strangers(name):
            assert name in HOMES[package] or name.partition("/")[0] in HOMES[package], name


def test_the_manager_needs_pymysql_only():
    for name in TREES:
        if name.startswith("manager/"):
            assert strangers(name) <= {"pymysql"}, name


def test_nobody_imports_in_a_circle():
    graph = {name: ours(name, at_import(tree)) for name, tree in TREES.items()}
    assert set(TopologicalSorter(graph).static_order()) == set(TREES)


def test_only_the_command_line_prints():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            where = f"{name}:{node.lineno} {called}"
            assert called not in {"print", "pprint", "click.echo", "click.secho", "say"} or name == "cli", (
                where
            )
            writes = called in {"sys.stderr.write", "sys.stdout.write"}
            assert not writes or name in SPEAKERS, where


def test_a_module_is_called_by_what_it_does():
    for name in TREES:
        assert not set(name.split("/")) & VAGUE, name


def test_the_package_itself_is_empty():
    assert (PACKAGE / "__init__.py").read_text("utf-8").strip() == ""


def in_a_new_process(script: str, *words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *words],
        cwd=ROOT,
        env=unobserved(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_manager_works_where_nothing_but_pymysql_is_installed():
    in_a_new_process(
        """
        import sys
        from importlib.abc import MetaPathFinder

        class OnlyPyMySQL(MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                top = name.partition(".")[0]
                allowed = top in sys.stdlib_module_names or top in ("pymysql", "loadtest", "cryptography")
                if not allowed or name.startswith("loadtest.") and not name.startswith("loadtest.manager"):
                    raise ModuleNotFoundError(f"{name} is not installed in this function")

        for installed in ("locust", "gevent", "pandas", "numpy", "msgspec", "click", "loadtest.store"):
            assert installed not in sys.modules
        sys.meta_path.insert(0, OnlyPyMySQL())
        try:
            import msgspec
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("the finder refuses nothing")

        from loadtest.manager import Classic, ConnectionManager

        for policy in (None, Classic()):
            config = {"host": "127.0.0.1", "port": 1, "user": "a", "password": "b", "database": "c"}
            manager = ConnectionManager(config, policy=policy)
            assert "ConnectionManager" in repr(manager)
            manager.quit()
        """
    )


def loaded(script: str, *words: str) -> set[str]:
    """The modules that are there at the end of a process."""
    return set(
        in_a_new_process(f"{script}\nimport sys\nsys.stdout.write('\\n'.join(sys.modules))", *words).split()
    )


def test_the_parent_process_never_imports_locust():
    there = loaded("import loadtest.cli, loadtest.bench, loadtest.web")
    assert "loadtest.bench" in there
    assert there & {"locust", "gevent", "pandas", "pyarrow"} == set()


HELP = """
import sys
from loadtest.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
"""


@pytest.mark.parametrize("words", [("--help",), ("bench", "--help"), ("scenarios",)])
def test_help_imports_nothing_heavy(words):
    there = loaded(HELP, *words)
    assert "click" in there
    assert there & {"pandas", "pyarrow", "numpy", "docker", "rich", "locust", "gevent", "pymysql"} == set()
