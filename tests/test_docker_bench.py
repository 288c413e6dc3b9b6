"""`docker compose run --rm bench`: the harness in a container beside the server's."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from loadtest.bench.process_group import free_port
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import RunFolder
from tests.conftest import missing

ROOT = Path(__file__).parent.parent
BASE = "loadtest-test-base"
PYTHON = (
    "python3", "python3-pip", "dash", "coreutils", "libc-bin", "libssl3", "libssl3t64", "libstdc++6",
    "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0",
)  # fmt: skip
ENVIRONMENT = (
    "PIP_NO_DEPS=1 PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_BREAK_SYSTEM_PACKAGES=1 "
    "PYTHONPATH=/opt/packages PATH=/usr/local/bin:/usr/bin:/bin"
)
SMALL = 'strategies = ["managed"]\nrate = 60\nduration = "2s"\nrepetitions = 2\nreruns = 0\n'
NEEDED = ("Dockerfile", ".dockerignore", "docker-compose.yml", "pyproject.toml", "README.md", "LICENSE")


def packages():
    """Debian's packages of Python with all that they depend on, as far as they are installed here."""
    asked = subprocess.run(
        ["apt-cache", "depends", "--recurse", "--installed", "--no-recommends", "--no-suggests",
         "--no-enhances", "--no-conflicts", "--no-breaks", "--no-replaces", *PYTHON],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return sorted({line for line in asked.stdout.splitlines() if line and line[0].isalnum()})


def needed(*wanted):
    """The top entries in site-packages of these distributions, and of all that they depend on."""
    names, seen, todo = set(), set(), [Requirement(text) for text in wanted]
    while todo:
        one = todo.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        try:
            found = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:  # an extra of another package's
            continue
        names |= {file.parts[0] for file in found.files or ()}
        for needs in map(Requirement, found.requires or ()):
            extras = one.extras or {""}
            if needs.marker is None or any(needs.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needs)
    return sorted(names - {"..", "/"})


def _no_cache(member):
    return None if "__pycache__" in member.name else member


@pytest.fixture(scope="module")
def base(docker, tmp_path_factory):  # noqa: ARG001 - asked for what it checks
    """An image of Python from the files of Debian's packages, with this environment's site-packages."""
    asked = "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1:])))"
    same = ["/usr/bin/python3", "-c", asked, *map(str, sys.version_info[:2])]
    if shutil.which("apt-cache") is None or subprocess.run(same, check=False).returncode:
        missing("no Debian whose Python is of this one's version, to make a base image of")
    listed = subprocess.run(["dpkg", "-L", *packages()], capture_output=True, text=True, check=False).stdout
    files = {
        _real(Path(line))
        for line in listed.splitlines()
        if line.startswith("/") and not line.startswith("/usr/share/doc")
    }
    archive = tmp_path_factory.mktemp("base") / "root.tar"
    home = Path(sysconfig.get_path("purelib"))
    files |= {Path(link) for link in ("/bin", "/lib", "/lib64", "/sbin")}
    with tarfile.open(archive, "w") as tar:
        for file in sorted(files):
            if file.is_symlink() or file.is_file():
                tar.add(file, recursive=False)
        tar.add("/tmp", recursive=False)
        for name in needed("connection-pressure", "hatchling"):
            if (home / name).exists():
                tar.add(home / name, f"opt/packages/{name}", filter=_no_cache)
    subprocess.run(
        ["docker", "import", "--change", f"ENV {ENVIRONMENT}", str(archive), BASE],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    archive.unlink()
    yield BASE
    subprocess.run(["docker", "rmi", "--force", BASE], check=False, capture_output=True)


def _real(path):
    """/bin/sh is /usr/bin/sh where /bin is a link."""
    return Path(os.path.realpath(path.parent), path.name)


@pytest.fixture
def checkout(base, tmp_path):
    """A copy of what the image is made of, as ``(folder, compose)``; Compose's project is taken down."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in NEEDED:
        shutil.copy2(ROOT / name, folder / name)
    for name in ("loadtest", "locustfiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    env = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": f"loadtest-test-{os.getpid()}",
        "LOADTEST_BASE": base,
        "LOADTEST_ROOT_PASSWORD": "p@ss/w#1",
        "LOADTEST_PORT": str(free_port()),
        "LOADTEST_ADMIN_PORT": str(free_port()),
        "LOADTEST_MASTER_PORT": str(free_port()),
    }

    def compose(*words, **more):
        return subprocess.run(
            ["docker", "compose", *words], cwd=folder, env={**env, **more}, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip

    yield folder, compose
    compose("--profile", "bench", "--profile", "load", "down", "--volumes", "--rmi", "local")


@pytest.mark.nightly
def test_it_leaves_a_run_folder(checkout):
    folder, compose = checkout
    done = compose(
        "run", "--rm", "bench", "quick", "--strategies", "cached,managed", "--rate", "100",
        "--duration", "2s", "--repetitions", "1", "--reruns", "2", "--function-timeout", "20s",
        "--out", "results/here",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((folder / "results" / "here" / "summary.json").read_text())
    assert set(summary["arms"]) == {"cached", "managed"}
    assert summary["server"]["max_connections"] == 90
    assert summary["server"]["path"] == "host"
    assert summary["arms"]["managed"]["median"]["error_ratio"] == 0


@pytest.mark.nightly
def test_the_load_comes_from_several_containers_in_every_repetition(checkout):
    folder, compose = checkout
    (folder / "results").mkdir()
    (folder / "results" / "small.toml").write_text(SMALL)
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    assert "LOADTEST_WORKERS=4 docker compose --profile load up --build --exit-code-from load\n" in page
    words = ("--profile", "load", "up", "--build", "--exit-code-from", "load")
    done = compose(*words, LOADTEST_WORKERS="2", LOADTEST_SCENARIO="results/small.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    run = RunFolder.open(folder / "results" / "latest")
    for repetition in run.repetitions("managed"):
        rows = read_rows(repetition, "invocations")[0].to_pylist()
        assert {row["worker"] for row in rows} == {0, 1}
        meta = repetition.read_meta()
        # Containers share no folder, but their machine's clock.
        assert 0.0 < meta["clock_error_s"] < 1.0
        assert all(-0.001 < row["due_s"] - meta["start_s"] < 2.0 for row in rows)
    summary = json.loads((folder / "results" / "latest" / "summary.json").read_text())
    assert len(summary["arms"]["managed"]["repetitions"]) == 2
    assert summary["scenario"]["workers"] == 2
    # Workers that stay, and a run with options of its own.
    assert "docker compose --profile load up --build --detach worker\n" in page
    assert "docker compose --profile load run --build --rm load quick --strategies managed\n" in page
    up = compose("--profile", "load", "up", "--build", "--detach", "worker", LOADTEST_WORKERS="2")
    assert up.returncode == 0, up.stdout + up.stderr
    options = ("results/small.toml", "--strategies", "direct", "--repetitions", "1", "--out", "results/again")
    words = ("--profile", "load", "run", "--build", "--rm", "load", *options)
    again = compose(*words, LOADTEST_WORKERS="2")
    assert again.returncode == 0, again.stdout + again.stderr
    (repetition,) = RunFolder.open(folder / "results" / "again").repetitions("direct")
    assert repetition.read_meta()["workers_count"] == 2
