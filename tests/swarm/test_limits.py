"""What a user is told when the generator's machine, and not the server, is the limit (docs/scale.md)."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import missing

# 75 invocations at a time, each with a connection that its container keeps.
WANTED = (
    "--strategies", "cached", "--rate", "150", "--work-ms", "500", "--duration", "3s", "--repetitions", "1",
    "--reruns", "0",
)  # fmt: skip
PORTS = "40000 40049"


def bench(folder, before, *words):
    """A bench that the command ``before`` runs."""
    return subprocess.run(
        [*before, sys.executable, "-m", "loadtest", "bench", "quick", *WANTED, *words, "--json",
         "--out", str(folder / "run")],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def open_files(count):
    """A command that runs another one with this limit."""
    return ["bash", "-c", f'ulimit -n {count}; exec "$@"', "bash"]


@pytest.fixture
def few_ports():
    """A command that runs another one where 127.0.0.1 has 50 ports for connections."""
    inside = [
        "unshare", "--net", "sh", "-c",
        f'ip link set lo up && echo {PORTS} > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"', "sh",
    ]  # fmt: skip
    found = shutil.which("unshare") and shutil.which("ip")
    if not found or subprocess.run([*inside, "true"], check=False).returncode:
        missing("a network of its own needs unshare and ip, and the right to use them")
    return inside


def test_a_machine_without_a_port_left_is_not_taken_for_a_full_server(few_ports, mariadb_target, tmp_path):  # noqa: ARG001 - for mariadbd
    ran = bench(tmp_path, few_ports, "--server", "local")
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)["arms"]["cached"]["median"]
    assert set(figures["errors"]) == {"EADDRNOTAVAIL"}
    assert not figures["valid"]
    assert any("no local port (EADDRNOTAVAIL)" in reason for reason in figures["reasons"])


def test_a_process_without_an_open_file_left_for_its_rows_ends_and_says_what_to_do(mariadb_target, tmp_path):
    ran = bench(tmp_path, open_files(80), "--server", mariadb_target.functions.url())
    assert ran.returncode == 3
    assert "Too many open files; its connections have taken them all: raise the limit" in ran.stderr


# Each library words the shortage otherwise, and the first that meets it is not the same in each run.
WRITERS = {
    "a JSON file": "files.write_json(Path('rows'), {})",
    "a Parquet file": "pyarrow.parquet.write_table(table, 'rows')",
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_whatever_writes_without_an_open_file_left_the_sentence_is_the_same(writer, tmp_path):
    program = f"""
import os
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet

from loadtest.errors import ResultsError
from loadtest.results import files

table = pyarrow.table({{"due_s": [1.0]}})
try:
    while True:
        os.dup(0)
except OSError:
    pass
try:
    with files.writing(Path("rows")):
        {writer}
except ResultsError as error:
    sys.exit(str(error))
"""
    ran = subprocess.run(
        [*open_files(80), sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr.strip() == (
        "cannot write rows: Too many open files; its connections have taken them all: raise the limit "
        "(ulimit -Hn) or use more --processes"
    )


def test_a_limit_of_open_files_that_leaves_a_server_none_is_said(tmp_path):
    ran = subprocess.run(
        [*open_files(200), sys.executable, "-m", "loadtest", "bench", "quick"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "may have 200 files open here (ulimit -Hn)" in ran.stderr
    assert "--server mysql://" in ran.stderr
