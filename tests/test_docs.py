"""The pages of docs/ say what is so."""

import importlib
import json
import re
import sys
from pathlib import Path

import pymysql
import pytest

from loadtest.manager import Classic, Managed
from loadtest.manager.errors import DENIED, EXPIRED, LOST, REFUSED, TRANSIENT, UNREACHABLE
from loadtest.manager.options import NAMES
from loadtest.server.connections import session
from tests.manager.acting import filled

ROOT = Path(__file__).parent.parent
MANAGER = ROOT.joinpath("docs", "manager.md").read_text("utf-8")
FIDELITY = ROOT.joinpath("docs", "fidelity.md").read_text("utf-8")


def test_the_table_of_errors_has_every_code_that_the_manager_knows():
    table = MANAGER.split("## What an error says")[1].split("\n## ")[0]
    documented = {int(code) for code in re.findall(r"\b(\d{4})\b", table)}
    assert REFUSED | LOST | TRANSIENT | {DENIED, EXPIRED, UNREACHABLE} <= documented


def test_the_tests_that_the_manager_s_page_names_are_there():
    file = None
    for name, test in re.findall(r"`(?:(test_\w+\.py|…))?(?:(?:::)?(test_\w+))?`", MANAGER):
        file = name if name.endswith(".py") else file
        if not (name or test):
            continue
        text = ROOT.joinpath("tests", "manager", file).read_text("utf-8")
        assert not test or f"def {test}(" in text, (file, test)


PAGES = [*ROOT.joinpath("docs").glob("*.md"), *ROOT.glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_test_that_a_page_names_with_its_file_is_there(page):
    for file, test in re.findall(r"\b(tests/[\w/]+\.py)(?:::(test_\w+))?", page.read_text("utf-8")):
        assert ROOT.joinpath(file).exists(), file
        assert not test or f"def {test}(" in ROOT.joinpath(file).read_text("utf-8"), (file, test)


def test_the_page_of_fidelity_names_a_test_for_every_behaviour():
    claims = FIDELITY.split("\n## What is claimed")[1].split("\n|---|---|---|---|---|\n")[1].split("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in claims.splitlines()]
    assert len(rows) > 20
    for behaviour, source, _, test, _ in rows:
        assert source.strip(), behaviour
        assert "::test_" in test, behaviour


def test_every_option_callback_and_setting_is_on_the_manager_s_page():
    settings = {*Managed.__dataclass_fields__, *Classic.__dataclass_fields__}
    for name in NAMES | settings:
        assert f"`{name}`" in MANAGER or f".{name}`" in MANAGER, name


def test_defaults_on_the_page_are_the_code_s():
    rows = dict(
        re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", MANAGER.split("## Settings of the policy")[1], re.M)
    )
    assert {name: str(getattr(Managed(), name)) for name in rows} == {
        name: str(type(getattr(Managed(), name))(value)) if value != "None" else "None"
        for name, value in rows.items()
    }


@pytest.fixture
def function(mariadb_target, tmp_path, monkeypatch):
    """The page's handler as a module, on a server with a certificate."""
    code = re.search(r"```python\n# handler.py\n(.*?)```", (ROOT / "docs/lambda.md").read_text("utf-8"), re.S)
    (tmp_path / "handler_of_the_page.py").write_text(code[1], "utf-8")
    account = mariadb_target.functions
    environment = {
        "DB_HOST": account.host, "DB_PORT": str(account.port), "DB_NAME": account.database,
        "DB_USER": account.user, "DB_PASSWORD": account.password, "DB_CA": certificate(mariadb_target),
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(tmp_path)
    with session(mariadb_target.admin) as admin:
        admin.execute(
            f"CREATE TABLE {account.database}.orders (id VARCHAR(36) PRIMARY KEY, item INT, amount INT)"
        )
        module = importlib.import_module("handler_of_the_page")
        yield module
        module.db.quit()
        sys.modules.pop("handler_of_the_page")
        admin.execute(f"DROP TABLE {account.database}.orders")


def certificate(target):
    from tests.server.pressure import server_process

    option = "--ssl-cert="
    return next(
        part.removeprefix(option) for part in server_process(target).cmdline() if part.startswith(option)
    )


class Context:
    def __init__(self, left_ms=2000):
        self._left_ms = left_ms

    def get_remaining_time_in_millis(self):
        return self._left_ms


def test_the_lambda_page_s_handler_stores_once_what_it_is_asked_twice(function, mariadb_target):
    event = {"id": "a-1", "item": 7, "amount": 2}
    for _ in range(2):
        answer = function.handler(event, Context())
        assert answer["statusCode"] == 200
        assert json.loads(answer["body"]) == {**event, "stored": True}
    with session(mariadb_target.admin) as admin:
        admin.execute(f"SELECT COUNT(*) FROM {mariadb_target.functions.database}.orders")
        assert admin.fetchone() == (1,)
    assert function.db.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
    assert function.db.query("SELECT @@SESSION.time_zone") == [("+00:00",)]


def test_the_lambda_page_s_handler_answers_when_the_server_is_full(function, mariadb_target):
    with filled(mariadb_target):
        answer = function.handler({"id": "a-2", "item": 7, "amount": 2}, Context(600))
    assert answer["statusCode"] == 503
    assert answer["headers"] == {"Retry-After": "1"}


def test_the_lambda_page_s_handler_answers_an_error_of_its_own(function):
    answer = function.handler({"id": "a-3", "item": "no number", "amount": 2}, Context())
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"]) == {"error": "not stored", "stored": False}
    with pytest.raises(pymysql.MySQLError):
        function.db.query("SELECT nothing")
