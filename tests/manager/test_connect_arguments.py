"""Connect arguments as providers, secrets and other libraries word them; refused before anything is sent."""

import json
import secrets as chance
import ssl

import pymysql
import pytest

from loadtest.manager import ConnectionManager
from loadtest.manager.connect_arguments import understood
from tests.manager.test_refused import account, password_literal

SECRET = {
    "engine": "mysql", "username": "me", "password": "hunter2", "host": "db.example", "port": "3307",
    "dbname": "shop", "dbInstanceIdentifier": "shop-1", "dbClusterIdentifier": "shop", "masterarn": "arn:aws",
}  # fmt: skip
PLAIN = {"user": "me", "password": "hunter2", "host": "db.example", "port": 3307, "database": "shop"}


def test_a_secret_of_rds_is_a_config_as_it_is():
    assert ConnectionManager(SECRET).get_config() == PLAIN


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("connection_limit=1&pool_timeout=20", {}),
        ("connectionLimit=5", {}),
        ("socket_timeout=5", {"read_timeout": 5.0, "write_timeout": 5.0}),
        ("socketTimeout=1500", {"read_timeout": 1.5, "write_timeout": 1.5}),
        ("connect_timeout=10", {"connect_timeout": 10}),
        ("connect-timeout=10", {"connect_timeout": 10}),
        ("connectTimeout=2500", {"connect_timeout": 2.5}),
        ("charset=utf8mb4", {"charset": "utf8mb4"}),
        ("ssl=false", {"ssl_disabled": True}),
        ("useSSL=false", {"ssl_disabled": True}),
        ("ssl-mode=DISABLED", {"ssl_disabled": True}),
        ("sslmode=prefer", {}),
        ("ssl_ca=/etc/ca.pem", {"ssl_ca": "/etc/ca.pem"}),
        ("ssl-ca=/etc/ca.pem", {"ssl_ca": "/etc/ca.pem"}),
    ],
)
def test_options_of_providers_are_understood(options, arguments):
    assert ConnectionManager(f"mysql://h?{options}").get_config() == {"host": "h", **arguments}


@pytest.mark.parametrize(
    ("options", "verifies", "checks_the_name"),
    [
        ("ssl=true", False, False),
        ("useSSL=true", False, False),
        ("ssl-mode=REQUIRED", False, False),  # DigitalOcean, Aiven
        ("ssl_mode=require", False, False),
        ("sslmode=require", False, False),
        ("sslMode=VERIFY_CA", True, False),
        ("ssl-mode=VERIFY_IDENTITY", True, True),
        ("sslmode=verify-full", True, True),
        ("sslaccept=strict", True, True),  # Prisma
        ("sslaccept=accept_invalid_certs", False, False),
        ('ssl={"rejectUnauthorized":true}', True, True),  # PlanetScale, for Node
        ("ssl=%7B%22rejectUnauthorized%22%3Afalse%7D", False, False),
        ("ssl={}", True, True),
        ("sslmode=require&sslaccept=strict", True, True),  # the strictest counts
        ("ssl=true&ssl_verify_cert=true", True, False),
    ],
)
def test_tls_as_providers_word_it(options, verifies, checks_the_name):
    config = ConnectionManager(f"mysql://h?{options}").get_config()
    context = config["ssl"]
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (verifies, checks_the_name)
    assert config.keys() == {"host", "ssl"}
    assert pymysql.connect(**config, defer_connect=True).ctx is context


def test_a_context_and_a_dictionary_of_ones_own_are_left_alone():
    context = ssl.create_default_context()
    for own in (context, {"ca": "/etc/ca.pem"}, {}, None):
        assert ConnectionManager(ssl=own).get_config() == {"ssl": own}


def test_what_is_said_of_tls_later_replaces_what_was_said_before():
    db = ConnectionManager(host="h", ssl_disabled=True)
    assert db.config(ssl_mode="REQUIRED").keys() == {"host", "ssl"}
    assert db.config(ssl=False) == {"host": "h", "ssl_disabled": True}
    assert db.config(host="i") == {"host": "i", "ssl_disabled": True}


REFUSED = [
    ({"max_retires": 3}, "'max_retires'; the nearest is Managed.max_retries"),
    ({"max_query_retrys": 3}, "the nearest is max_query_retries"),
    ({"hots": "h"}, "'hots'; the nearest is host"),
    ({"databse": "h"}, "'databse'; the nearest is database"),
    ({"timezone": "Z"}, "no connect argument 'timezone'"),
    ({"zzz": 1}, "no connect argument 'zzz'$"),
    ({"sslaccept": "stric"}, "sslaccept has an unknown value; it may be strict"),
    ({"ssl_mode": "on"}, "ssl_mode has an unknown value"),
    ({"ssl": "Amazon RDS"}, "ssl has an unknown value"),
    ({"ssl": "{"}, "ssl is not JSON"),
    ({"ssl": {"require": True}}, "ssl has 'require'"),
    ({"ssl": 3.5}, "ssl has an unknown value"),
    ({"ssl": True, "ssl_ca": "/nowhere.pem"}, "ssl_ca, ssl_cert or ssl_key cannot be used: No such file"),
    ({"charset": "UTF8_GENERAL_CI"}, "does not take"),
    ({"port": "http"}, "port"),
    ({"connect_timeout": "5"}, "does not take"),
    ({"connect_timeout": 0}, "connect_timeout should be >0"),
    ({"read_timeout": -1}, "read_timeout should be > 0"),
    ({"socket_timeout": 0}, "socket_timeout is not a number above 0"),
    ({"compress": True}, "compress"),
    ({"password": "hunter2€"}, "Latin-1"),
    ({"engine": "postgres"}, "not for MySQL"),
]


@pytest.mark.parametrize(("wrong", "reason"), REFUSED, ids=lambda part: str(part)[:40])
def test_what_pymysql_does_not_know_or_take_is_refused_at_once(wrong, reason):
    db = ConnectionManager(host="h")
    for refusing in (
        lambda: ConnectionManager(wrong),
        lambda: ConnectionManager(**wrong),
        lambda: db.config(wrong),
        lambda: db.config(**wrong),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            refusing()
        assert "hunter" not in str(refused.value)
        assert refused.value.__cause__ is None
    assert db.get_config() == {"host": "h"}


def test_so_is_an_option_of_a_connection_string():
    with pytest.raises(ValueError, match="'charste'; the nearest is charset"):
        ConnectionManager("mysql://me:hunter2@h?charste=utf8mb4")


def test_another_library_s_arguments_are_not_ours_to_know():
    given = {"max_retires": 3, "ssl_mode": "REQUIRED", "username": "me"}
    assert ConnectionManager(given, library=lambda **_: None).get_config() == given


def test_a_password_in_bytes_may_be_anything():
    assert ConnectionManager(password="€".encode()).get_config() == {"password": "€".encode()}


# On servers


def connection_string(account, options):
    return f"mysql://{account.user}:{account.password}@{account.host}:{account.port}/{account.database}?{options}"


def test_a_provider_s_connection_string_encrypts(target):
    db = ConnectionManager(connection_string(target.functions, "ssl-mode=REQUIRED&connection_limit=1"))
    assert db.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
    db.quit()


def test_and_refuses_a_certificate_that_nobody_signed_where_it_says_so(target):
    db = ConnectionManager(connection_string(target.functions, "sslaccept=strict"))
    with pytest.raises(pymysql.OperationalError, match="certificate verify failed"):
        db.query("SELECT 1")
    assert db.stats.refused_count == 1  # waiting does not help


def test_credentials_may_be_a_secret_of_rds_as_it_is(admin, target):
    """One that is rotated: asked for again with the refusal."""
    with account(admin, target) as config:
        stored = {
            **SECRET, "username": config["user"], "password": config["password"], "host": config["host"],
            "port": config["port"], "dbname": config["database"],
        }  # fmt: skip
        asked = []

        def credentials(refused):
            asked.append(refused and refused.args[0])
            return json.loads(json.dumps(stored if refused is None or len(asked) == 2 else rotated))

        db = ConnectionManager(ssl_disabled=True, credentials=credentials)
        assert db.query("SELECT DATABASE()") == [(config["database"],)]
        db.quit()
        rotated = {**stored, "password": chance.token_hex(8)}
        admin.execute(
            f"SET PASSWORD FOR {config['user']}@'%' = {password_literal(target, rotated['password'])}"
        )
        assert db.query("SELECT 1") == [(1,)]
        assert asked == [None, None, 1045]
        db.quit()


def test_what_else_credentials_say_is_refused_with_its_name():
    db = ConnectionManager(host="127.0.0.1", credentials=lambda _: {"pasword": "hunter2"})
    with pytest.raises(ValueError, match="'pasword'; the nearest is password") as refused:
        db.query("SELECT 1")
    assert "hunter" not in str(refused.value)


def test_a_context_is_made_once():
    assert understood({"sslmode": "require"})["ssl"] is understood({"ssl": True})["ssl"]
