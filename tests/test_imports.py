"""Who may know whom. What is not allowed here would let the observed disturb the observer."""

import ast
import re
import subprocess
import sys
import textwrap
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.places import unobserved
from tests.rooms import picture

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "loadtest"
FLOOR = {
    "settings",
    "results",
    "errors",
    "dsn",
    "open_files",
    "packaged",
    "remote",
    "ways",
}  # modules at the root, and folders
# A room may know itself, the floor and these.
ALSO = {
    "manager": set(),
    "server": set(),
    "report": set(),
    "fleet": {"manager"},
    "swarm": {"fleet"},
    "bench": {"server", "report"},
    "webui": {"bench", "swarm", "report"},
    "commands": {"bench", "report", "server", "manager"},
}
PURE = (
    "manager/policy", "manager/classic", "manager/managed", "manager/decision", "manager/checks",
    "manager/backoff", "manager/retry", "manager/invocation", "manager/session_state", "fleet/container",
    "fleet/arrivals", "fleet/lifecycle", "fleet/scaling", "report/figures", "report/medians",
    "report/validity", "report/headline", "report/comparisons/compare", "report/comparisons/comparison",
    "report/comparisons/comparability", "report/comparisons/evidence", "report/comparisons/measures",
    "report/comparisons/t_distribution", "report/comparisons/weighing", "report/budgets/grammar",
    "report/budgets/judgement", "report/budgets/names", "results/summary", "settings/load_shape",
    "settings/strategy", "swarm/roster", "swarm/phases", "webui/form", "webui/points",
)  # fmt: skip
IMPURE = {
    "asyncio", "datetime", "gevent", "glob", "http", "io", "locust", "logging", "os", "pathlib", "psutil",
    "pymysql", "secrets", "selectors", "select", "shutil", "signal", "socket", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc", "shared"}
# Where a package may be imported at all: a module, or all of a folder.
HOMES = {
    "locust": {"swarm", "webui"},
    "pandas": {"report"},
    "docker": {"server/compose"},
    "click": {"cli", "commands"},
    "bokeh": {"report", "webui/plots"},
    "flask": {"webui"},
    "jinja2": {"report"},
}
# Entry points of processes of their own, whose last words somebody else reads.
SPEAKERS = {
    "commands/output",
    "swarm/listeners",
    "server/ledger",
    "server/preparation",
    "server/relay",
    "swarm/check_strategy",
    "webui/install",
    "webui/plots",
    "webui/rows",
}


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
    """What is imported when the module is, or for its types: not in functions."""
    names: set[str] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= imported(node)
        stack += ast.iter_child_nodes(node)
    return names


def test_the_rules_see_the_package():
    assert {name.split("/")[0] for name in TREES} == {
        *ALSO,
        *FLOOR,
        "__init__",
        "__main__",
        "cli",
        "pytest_plugin",
    }
    assert set(PURE) <= set(TREES)
    assert "swarm/run" in ours("swarm/listeners")
    assert "locust" in strangers("swarm/users")


@pytest.mark.parametrize("room", sorted(ALSO))
def test_a_room_knows_the_floor_and_hardly_any_other_room(room):
    for name in TREES:
        if name.startswith(f"{room}/"):
            for other in ours(name):
                assert other.partition("/")[0] in {room, *ALSO[room], *FLOOR}, f"{name} imports {other}"


def test_the_floor_knows_nothing_above_it():
    for name in TREES:
        if name.partition("/")[0] in FLOOR:
            assert {other.partition("/")[0] for other in ours(name)} <= FLOOR, name


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


def test_the_fleet_knows_neither_locust_nor_the_environment():
    for name, tree in TREES.items():
        if name.startswith("fleet/"):
            assert "locust" not in strangers(name), name
            assert not re.search(r"\bos\.environ|\bgetenv\b", ast.unparse(tree)), name


def test_a_strategy_is_taken_apart_in_one_place():
    takes_apart = re.compile(r"""\.(r?split|r?partition)\(["'][=+]["']""")
    for name, tree in TREES.items():
        # Neither a DSN on a command line nor a fault, a proxy or a reservation is a strategy.
        allowed = name in (
            "settings/strategy", "settings/fault", "settings/via", "settings/reserved", "results/provenance",
        )  # fmt: skip
        assert allowed or not takes_apart.search(ast.unparse(tree)), name


# Whoever imports these has the library already.
OF_ANOTHER_LIBRARY = {"manager/sqlalchemy": "sqlalchemy"}


def test_the_manager_needs_pymysql_only():
    for name in TREES:
        if name.startswith("manager/"):
            allowed = {"pymysql", OF_ANOTHER_LIBRARY.get(name, "pymysql")}
            assert strangers(name) <= allowed, name
            assert not ours(name) & OF_ANOTHER_LIBRARY.keys(), name


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
            prints = called in {"print", "pprint", "click.echo", "click.secho"}
            assert not prints or name == "commands/output", where
            writes = called in {"sys.stderr.write", "sys.stdout.write"}
            assert not writes or name in SPEAKERS, where


def test_a_module_is_called_by_what_it_does():
    for name in TREES:
        assert not set(name.split("/")) & VAGUE, name


def test_the_picture_of_the_rooms_is_true():
    assert f"```text\n{picture()}\n```" in (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_a_newcomer_finds_his_way_by_file_names():
    """Ten questions to the tree, each answered by `ls` alone."""
    answers = {
        "where is the lock that tells whether a server's owner lives?": "server/server_folders",
        "where are connects tried again?": "manager/connect",
        "who decides that a statistic is valid?": "report/validity",
        "where is a strategy's text parsed?": "settings/strategy",
        "where does the master learn that a worker is gone?": "swarm/roster",
        "who starts and ends Locust's process?": "bench/process_group",
        "where is the server brought back to its first state?": "server/reset",
        "where are zombies counted?": "fleet/book",
        "where are the options of compare-reports?": "commands/compare_reports",
        "which files does a run folder have?": "results/run_folder",
    }
    assert set(answers.values()) <= set(TREES)


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

        heavy = ("locust", "gevent", "pandas", "numpy", "msgspec", "click", "loadtest.results.run_folder")
        for installed in heavy:
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
    there = loaded("import loadtest.cli, loadtest.bench.bench, loadtest.bench.page")
    assert "loadtest.bench.bench" in there
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
