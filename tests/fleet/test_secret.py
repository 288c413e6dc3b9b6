"""How a function learns of another password: notices of the bench, and what a container makes of them."""

from loadtest.dsn import Dsn
from loadtest.fleet.connection import Meter
from loadtest.fleet.connector import Connector, Route
from loadtest.fleet.real.processes import Processes
from loadtest.results.notice import Board, Notice, Notices
from loadtest.settings.plan import Settings
from loadtest.ways import Way


def test_nothing_has_happened_without_a_notice(tmp_path):
    assert Notices().newest() == Notices(str(tmp_path / "none")).newest() == Notice()


def test_a_notice_is_read_as_soon_as_it_is_up_and_is_gone_with_its_board():
    board = Board()
    notices = Notices(str(board.path))
    assert notices.newest() == Notice()
    board.put(password="new")
    first = notices.newest()
    assert first == Notice(password="new")
    assert notices.newest() is first
    assert board.path.stat().st_mode & 0o077 == board.path.parent.stat().st_mode & 0o077 == 0
    board.put(password="newer")
    assert notices.newest() == Notice(password="newer")
    board.close()
    assert not board.path.parent.exists()
    assert notices.newest() == Notice(password="newer")


def test_a_container_keeps_its_password_until_its_manager_was_denied():
    secret = ["old"]
    route = Route(None, 0.0, {}, lambda: secret[0])
    container = Connector(route, Meter(1))
    secret[0] = "new"
    assert container.credentials(None) == {"password": "old"}
    assert Connector(route, Meter(2)).credentials(None) == {"password": "new"}
    assert container.credentials(Exception()) == {"password": "new"}
    assert container.credentials(None) == {"password": "new"}


def test_where_no_password_changes_nobody_is_asked():
    assert Connector(Route(None, 0.0, {}), Meter(1)).credentials is None


def test_the_process_of_a_real_function_starts_with_the_newest_password(tmp_path):
    server, secret = Dsn("127.0.0.1", 3306, "jack", "old", "shop"), ["old"]
    ways = {"shop": Way(server, "off")}
    processes = Processes({}, None, ways, None, Settings(), tmp_path, lambda: secret[0])
    assert processes._variables("shop", 4000)["MYSQL_PASSWORD"] == "old"
    secret[0] = "new"
    assert processes._variables("shop", 4000)["MYSQL_PASSWORD"] == "new"
    without = Processes({}, None, ways, None, Settings(), tmp_path)
    assert without._variables("shop", 4000)["MYSQL_PASSWORD"] == "old"


def test_the_process_of_a_real_function_uses_tls_where_its_way_does(tmp_path):
    server = Dsn("127.0.0.1", 3306, "jack", "old", "shop")
    ways = {"shop": Way(server, "off"), "shop@router": Way(server, "on")}
    processes = Processes({}, None, ways, None, Settings(), tmp_path)
    assert [processes._variables(part, 4000)["MYSQL_TLS"] for part in ways] == ["off", "on"]
