"""Pages that are started otherwise than usual, or end otherwise."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from msgspec import UNSET

from loadtest.bench import page as web
from loadtest.bench import process_group
from loadtest.report.run_summary import summarise_run
from loadtest.results.run_folder import RunFolder
from tests.conftest import missing
from tests.waiting import wait_until

from .pages import FORM, Page, page

REAL = Path(__file__).parent.parent / "fleet" / "real" / "functions"


@pytest.mark.nightly
def test_a_mixed_fleet_that_the_command_line_names_can_be_chosen(mariadb_target, tmp_path):
    mixed = "managed:0.5+cached:0.5"
    with page(mariadb_target, tmp_path, "--strategy", mixed) as found:
        assert mixed in found.get("/")[2].decode()
        assert found.swarm(strategy=mixed, duration="2s")["success"]
        assert found.ended()["tests"][0]["arm"] == mixed
        assert found.get("/loadtest/tests/1/report")[0] == 200


@pytest.mark.nightly
def test_a_real_function_runs_from_the_page_and_what_it_cannot_be_sent_is_said_at_the_form(
    mariadb_target, tmp_path
):
    text = f"shop=lambda:python:{REAL}/app.cached"
    with page(mariadb_target, tmp_path, "--strategy", text) as found:
        form = {**FORM, "strategy": text, "user_count": "10", "spawn_rate": "10", "duration": "1s"}
        form["function_timeout"] = "20s"  # a busy machine may stand still
        answer = found.json("/swarm", {**form, "event": "sqss"})
        assert not answer["success"]
        assert "unknown event 'sqss' (did you mean sqs?)" in answer["message"]
        assert found.json("/swarm", form)["success"]
        found.ended()
        assert b"shop" in found.get("/loadtest/tests/1/report")[2]
    summary = json.loads(next(tmp_path.glob("results/*/summary.json")).read_text())
    assert summary["arms"]["shop"]["median"]["error_ratio"] == 0
    assert summary["arms"]["shop"]["median"]["starts"]["count"] > 0


def test_a_server_that_is_not_there_is_said_at_the_form(mariadb_target, tmp_path):
    nowhere = replace(mariadb_target, functions=replace(mariadb_target.functions, port=1))
    with page(nowhere, tmp_path) as found:
        answer = found.swarm()
        assert answer["success"] is False
        assert "127.0.0.1:1" in answer["message"]
        assert found.live()["state"] == "ready"


@pytest.mark.nightly
def test_results_that_cannot_be_written_are_said_and_the_page_stays(mariadb_target, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with page(mariadb_target, tmp_path) as found:
        assert found.swarm()["success"]
        wait_until(lambda: "cannot write" in found.live()["trouble"], 40)
        wait_until(lambda: found.live()["state"] == "stopped", 40)
        (tmp_path / "results").unlink()
        assert found.swarm(duration="1s")["success"]
        assert found.ended()["trouble"] == ""


@pytest.mark.nightly
def test_below_another_path(mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path, "--web-base-path", "/load", base="/load") as found:
        assert b"loadtest-panel" in found.get("/")[2]
        assert found.get("/loadtest/assets/connections.js")[0] == 200
        assert found.swarm(work_ms="fast")["success"] is False
        assert found.live()["state"] == "ready"


LOGIN = """
import loadtest.webui.install
from flask_login import UserMixin
from loadtest.swarm.users import Client
from locust import events

@events.init.add_listener
def ask(environment, **_):
    if environment.web_ui:
        environment.web_ui.app.secret_key = "x" * 16
        environment.web_ui.login_manager.user_loader(lambda name: None)
"""


def test_behind_locusts_login_nothing_of_ours_is_answered(mariadb_target, tmp_path):
    locustfile = tmp_path / "with_login.py"
    locustfile.write_text(LOGIN)
    with page(mariadb_target, tmp_path, "--web-login", locustfile=locustfile) as found:
        for path in ("/", "/loadtest/live", "/loadtest/fleet", "/loadtest/tests/1/report"):
            _, _, text = found.get(path)
            assert b"loadtest-panel" not in text
            assert b"authArgs" in text, path
        _, _, text = found.get("/swarm", {**FORM, "work_ms": "fast"})
        assert b"work_ms cannot be" not in text
        assert b"authArgs" in text


@pytest.mark.nightly
def test_with_a_certificate(mariadb_target, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    words = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with page(mariadb_target, tmp_path, *words, scheme="https") as found:
        with urllib.request.urlopen(found.address + "/loadtest/live", context=trusting, timeout=40) as answer:
            assert json.load(answer)["state"] == "ready"


@pytest.mark.parametrize(
    ("words", "address"),
    [((), "127.0.0.1"), (("--web-host", "0.0.0.0"), "0.0.0.0"), (("--web-host", "*"), "*")],
    ids=["by-default", "address", "star"],
)
def test_plain_locust_s_page_listens_on_loopback_unless_it_is_told_otherwise(
    mariadb_target, tmp_path, words, address
):
    with page(mariadb_target, tmp_path, *words) as found:
        listening = [
            one for one in psutil.Process(found.locust.pid).net_connections() if one.status == "LISTEN"
        ]
        port = int(found.address.rpartition(":")[2])
        (ip,) = {one.laddr.ip for one in listening if one.laddr.port == port}
        assert ip == address or (address == "*" and ip in ("0.0.0.0", "::"))


def test_whoever_listens_for_everybody_without_a_login_is_warned(mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path, "--web-host", "0.0.0.0"):
        wait_until(lambda: "can start tests here" in (tmp_path / "log").read_text(), 40)


@pytest.mark.nightly
def test_a_page_that_is_ended_in_mid_test_leaves_rows(mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found:
        assert found.swarm(duration="60s")["success"]
        wait_until(lambda: found.live()["tests"] and found.live()["tests"][0]["arrivals_count"] > 50, 40)
        os.kill(found.locust.pid, signal.SIGTERM)
        assert found.locust.wait(40) == 130
    run = RunFolder.open(found.folder / "results" / "latest")
    (repetition,) = run.repetitions("cached")
    assert repetition.read_meta()["cut_off"] is True


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        pytest.param("::1", "[::1]", marks=pytest.mark.nightly),
        pytest.param("[::1]", "[::1]", marks=pytest.mark.nightly),
    ],
)
def test_the_command_opens_a_page_with_a_server_and_takes_both_down(tmp_path, host, address):
    if ":" in host and not has_ipv6():
        missing("this machine has no ::1")
    port = process_group.free_port()
    words = ["web", "burst", "--server", "local", "--host", host, "--port", str(port), "--strategy", "cached"]
    words += ["--rate", "50"]
    with subprocess.Popen(
        [sys.executable, "-m", "loadtest", *words], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        line = started.stdout.readline()
        assert f"http://{address}:{port}/?tab=" in line, started.stderr.read()
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=40) as answer:
            text = answer.read().decode()
        assert '"num_users": 50' in text
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in out + err
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{address}:{port}/", timeout=2)


@pytest.mark.usefixtures("haproxies")
@pytest.mark.nightly
def test_a_page_with_a_proxy_knows_which_of_its_tests_go_through_it(tmp_path):
    port = process_group.free_port()
    words = ["web", "burst", "--server", "local", "--port", str(port), "--via", "haproxy"]
    words += ["--strategy", "cached@haproxy", "--rate", "50"]
    with subprocess.Popen(
        [sys.executable, "-m", "loadtest", *words], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        try:
            assert f":{port}/?tab=" in started.stdout.readline()
            found = Page(f"http://127.0.0.1:{port}", tmp_path, None)
            for number, strategy in enumerate(("cached@haproxy", "cached"), 1):
                assert found.swarm(strategy=strategy, duration="2s")["success"]
                found.ended(number)
            refused = found.swarm(strategy="cached@router")
            assert not refused["success"]
            assert "did you mean cached@haproxy" in refused["message"]
        finally:
            started.send_signal(signal.SIGINT)
            started.communicate(timeout=60)
    proxied, plain = (
        summarise_run(RunFolder(path)).arms[arm].repetitions[0]
        for arm in ("cached@haproxy", "cached")
        for path in tmp_path.glob(f"results/*-{arm}")
    )
    assert proxied.proxy.clients_peak_count > 0
    assert plain.proxy is UNSET
    assert {one.holds for one in proxied.reconciliation} == {True}


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"),
        ("load.example", "load.example"),
    ],
)  # fmt: skip
def test_the_address_that_is_announced_can_be_opened_here(host, expected):
    assert web.in_address(web.reachable(host)) == expected


SLOW = """
import gevent
import loadtest.webui.install
from loadtest.swarm import users

class Slow(users.Client):
    def on_stop(self):
        super().on_stop()
        gevent.sleep(6)
"""


@pytest.mark.nightly
def test_locusts_page_goes_on_asking_while_users_are_stopped(mariadb_target, tmp_path):
    """It stops at a state that it does not expect, and its buttons would stay those of a running test."""
    locustfile = tmp_path / "slow.py"
    locustfile.write_text(SLOW)
    with page(mariadb_target, tmp_path, locustfile=locustfile) as found:
        assert found.swarm(strategy="direct", duration="1s")["success"]
        told, meant = set(), set()

        def is_over():
            meant.add(found.live()["state"])
            told.add(found.json("/stats/requests")["state"])
            return "stopped" in told

        wait_until(is_over, 60)
    assert "cleanup" in meant
    assert told <= {"ready", "spawning", "running", "stopped"}


OLD = """
from locust import events

@events.init.add_listener
def forget(environment, **_):
    del environment.web_ui.template_args

import loadtest.webui.install
from loadtest.swarm.users import Client
"""


def test_a_locust_that_cannot_be_extended_is_said(mariadb_target, tmp_path):
    locustfile = tmp_path / "old.py"
    locustfile.write_text(OLD)
    with (
        pytest.raises(AssertionError, match=r"this version of Locust cannot be extended.*template_args"),
        page(mariadb_target, tmp_path, locustfile=locustfile),
    ):
        pass
    assert "Traceback" not in (tmp_path / "log").read_text()
