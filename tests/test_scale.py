"""docs/scale.md: its commands run as they stand there, as far as they can here, and its manifest is valid."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loadtest.bench import process_group
from loadtest.bench.meeting import PORT
from loadtest.cli import main
from loadtest.commands.options import plan_of
from loadtest.results.run_folder import RunFolder
from loadtest.server.connections import PASSWORD_VARIABLE
from tests.places import ROOT
from tests.waiting import wait_until

PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
MANIFEST = ROOT / "examples" / "kubernetes" / "loadtest.yaml"
DSN = "mysql://functions@mysql:3306/loadtest"
LONG_S = 120.0


def blocks():
    return re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)


HERE = [text for text in blocks() if "loadtest bench quick" in text]


@pytest.mark.nightly
@pytest.mark.parametrize("text", HERE, ids=["processes", "workers"])
def test_the_commands_for_one_machine_run_as_they_stand_there(place, text):
    port = process_group.free_port()  # Locust's own is whoever's comes first
    for words, option in (("loadtest worker", "master-port"), ("--workers 2", "master-bind-port")):
        text = text.replace(words, f"{words} --{option} {port}")
    text = text.replace("loadtest bench quick", "loadtest bench quick --server local --out mine")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "LOADTEST_"))}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "TMPDIR": str(place.tmp)}
    with (place.folder / "log").open("w") as log:
        done = subprocess.run(
            ["bash", "-ec", text], cwd=place.folder, env=env, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, timeout=LONG_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, (place.folder / "log").read_text()
    for repetition in RunFolder(place.folder / "mine").repetitions("managed"):
        assert repetition.read_meta()["workers_count"] == 2
    wait_until(lambda: place.left() == [], what="the end of the workers")


def test_there_are_commands_for_one_machine():
    assert len(HERE) == 2


# Kubernetes


@pytest.fixture(scope="module")
def objects():
    found = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}
    assert set(found) == {"Service", "PersistentVolumeClaim", "Job", "Deployment"}
    return found


def pod(one):
    return one["spec"]["template"]["spec"]


def container(one):
    (only,) = pod(one)["containers"]
    return only


def parsed(one):
    """The arguments as our command reads them."""
    command, *words = (word.replace("$(LOADTEST_DSN)", DSN) for word in container(one)["args"])
    return command, main.commands[command].make_context(command, list(words)).params


@pytest.mark.parametrize("kind", ["Service", "PersistentVolumeClaim", "Job", "Deployment"])
def test_the_manifest_is_valid_by_kubernetes_own_schemas(objects, kind):
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    validate.validate(objects[kind], validate.latest_version(), strict=True)


def test_the_service_leads_to_the_bench_and_the_deployment_to_its_own_workers(objects):
    service, job, deployment = objects["Service"], objects["Job"], objects["Deployment"]
    labels = {name: objects[name]["spec"]["template"]["metadata"]["labels"] for name in ("Job", "Deployment")}
    assert service["spec"]["selector"].items() <= labels["Job"].items()
    assert not service["spec"]["selector"].items() <= labels["Deployment"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels["Deployment"].items()
    assert not deployment["spec"]["selector"]["matchLabels"].items() <= labels["Job"].items()
    assert service["spec"]["clusterIP"] == "None"
    assert [port["port"] for port in service["spec"]["ports"]] == [PORT]
    assert [port["containerPort"] for port in container(job)["ports"]] == [PORT]


def test_the_arguments_in_the_manifest_are_those_of_our_commands_and_fit_each_other(objects):
    command, options = parsed(objects["Deployment"])
    assert command == "worker"
    assert options["master_host"] == objects["Service"]["metadata"]["name"]
    assert (options["master_port"], options["processes"]) == (PORT, 1)
    command, options = parsed(objects["Job"])
    assert command == "bench"
    assert options["choice"].dsn is not None
    assert (options["master_bind_host"], options["master_bind_port"]) == ("*", PORT)
    plan = plan_of(options["scenario"], None, options)
    assert plan.workers == objects["Deployment"]["spec"]["replicas"]


def test_the_manifest_takes_the_server_from_the_secret_that_the_page_creates(objects):
    (line,) = (line for text in blocks() for line in text.splitlines() if " create secret " in line)
    keys = set(re.findall(r"--from-literal=(\w+)=", line))
    for kind in ("Job", "Deployment"):
        env = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container(objects[kind])["env"]}
        assert set(env) == {"LOADTEST_DSN", PASSWORD_VARIABLE}
        assert {ref["key"] for ref in env.values()} == keys
        assert {ref["name"] for ref in env.values()} == {"loadtest"}
        assert "create secret generic loadtest " in line
    (mount,) = container(objects["Job"])["volumeMounts"]
    (volume,) = pod(objects["Job"])["volumes"]
    assert mount["name"] == volume["name"]
    claim = objects["PersistentVolumeClaim"]["metadata"]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim
    assert mount["mountPath"] == "/bench/results"  # of the Dockerfile's folder
