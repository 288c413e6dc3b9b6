"""What is installed from a wheel works in an empty folder; a function ships the manager alone."""

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from loadtest.server import local
from tests.conftest import missing

ROOT = Path(__file__).parent.parent
STRANGERS = (
    "locust",
    "gevent",
    "pandas",
    "numpy",
    "pyarrow",
    "msgspec",
    "click",
    "rich",
    "docker",
    "psutil",
    "cryptography",
)
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ImportError(f"{{name}} is not shipped with a function")

sys.meta_path.insert(0, Blocked())
from loadtest.manager import Classic, ConnectionManager
import loadtest, pymysql
print(loadtest.__file__, ConnectionManager(host="127.0.0.1").__class__.__name__)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy: a build may leave things beside its source."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("loadtest", "locustfiles"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "docker-compose.yml"):
        shutil.copy2(ROOT / name, source / name)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(out), str(source)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180, check=False,
    )  # fmt: skip
    if built.returncode and "No matching distribution" in built.stderr and os.environ.get("CI") != "true":
        pytest.skip("hatchling is not to be had here, so no wheel can be built")
    assert built.returncode == 0, built.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and everything else from this one."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
    python = home / "bin" / "python"
    packages = Path(subprocess.check_output(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip())  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # A .pth goes behind: our own package is found in the wheel and not in this checkout.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    (packages / "others.pth").write_text("\n".join(sorted(others)), "utf-8")
    return python


def call(python: Path, *words: str, cwd: Path, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("LOADTEST_")}
    return subprocess.run(
        [str(python), *words],
        cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s,
        check=False,
    )  # fmt: skip


def test_the_wheel_carries_what_runs_a_bench(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.name.startswith("connection_pressure-")
    assert {
        "loadtest/py.typed",
        "loadtest/scenarios/quick.toml",
        "loadtest/shipped/docker-compose.yml",
        "loadtest/shipped/locustfiles/clients.py",
        "loadtest/shipped/locustfiles/containers.py",
    } <= names
    assert not any(name.startswith(("tests", "results", "locustfiles")) for name in names)


def test_the_installed_package_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    program = "import loadtest.packaged as p; print(p.__file__, p.packaged('locustfiles'))"
    done = call(installed, "-c", program, cwd=tmp_path)
    file, shipped = done.stdout.split()
    assert str(installed.parent.parent) in file
    assert Path(shipped) == Path(file).parent / "shipped" / "locustfiles"


def test_scenarios_are_listed_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = call(installed, "-m", "loadtest", "scenarios", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "quick" in done.stdout


def test_a_bench_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    if local.find() is None:
        reason = f"no mysqld or mariadbd is installed: {local.install_command()}"
        missing(reason)
    words = ["bench", "--server", "local", "--strategies", "direct", "--rate", "50", "--duration", "2s"]
    done = call(installed, "-m", "loadtest", *words, "--repetitions", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # One whose clients came too late counts nothing, and is run again.
    counts = [one["arrivals_count"] for one in json.loads(done.stdout)["arms"]["direct"]["repetitions"]]
    assert max(filter(None, counts)) > 50
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_a_function_ships_the_manager_with_pymysql_alone(wheel: Path, tmp_path: Path) -> None:
    """The wheel without its dependencies, PyMySQL beside it, and nothing else to be had."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    import pymysql

    shutil.copytree(Path(pymysql.__file__).parent, tmp_path / "pymysql")
    program = BLOCKED.format(names=set(STRANGERS))
    # -I -S: neither this environment's packages nor its variables
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    done = call(Path(sys.executable), "-I", "-S", "-c", start + program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "loadtest" / "__init__.py"), "ConnectionManager"]
