"""What each fault does to a real server, and that nothing of it is left afterwards."""

import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from random import Random

import pymysql
import pytest
from pymysql.constants import COMMAND

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.results.notice import Board
from loadtest.server import compose, connections, launch, server_folders
from loadtest.server.choice import ServerChoice
from loadtest.server.fault_actions import FaultActions
from loadtest.server.fault_checks import check_faults
from loadtest.server.monitor import Monitor
from loadtest.server.password_rotation import replaced_by
from loadtest.server.processes import stands_still
from loadtest.server.relay_process import RelayProcess
from loadtest.settings.fault import parse_fault
from tests.server.pressure import server_process
from tests.waiting import wait_until

LOST = (pymysql.OperationalError, pymysql.InterfaceError, OSError)
A_SERVER = ("local", "docker")


@pytest.fixture(scope="module", params=A_SERVER)
def own(request):
    """A server that is started again: nobody else's tests are on it."""
    if request.param == "docker":
        request.getfixturevalue("docker")
    with launch.launched(ServerChoice(request.param), 20, restarts=True) as target:
        yield target


@pytest.fixture
def actions(own):
    return FaultActions(own, None, Random(1))


def function(target, read_timeout_s=20.0, **more):
    return closing(
        pymysql.connect(
            **target.functions.connect_arguments(), autocommit=True, connect_timeout=5,
            read_timeout=read_timeout_s, **more,
        )
    )  # fmt: skip


def asked(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@contextmanager
def on(actions, text):
    fault = parse_fault(f"{text}@0")
    actions.begin(fault)
    try:
        yield
    finally:
        actions.end(fault)


def rows_count(target):
    with function(target) as connection:
        return asked(connection, "SELECT COUNT(*) FROM loadtest_rows")[0][0]


@pytest.mark.parametrize("name", ["kill", "stop"])
def test_a_server_that_ends_is_started_again_with_its_data_and_its_accounts(own, actions, name):
    before = rows_count(own)
    with function(own) as kept:
        assert asked(kept, "SELECT 1") == ((1,),)
        with on(actions, name):
            with pytest.raises(LOST):
                asked(kept, "SELECT 1")
            with pytest.raises(LOST):
                connections.connect(own.functions, timeout_s=2.0)
    assert rows_count(own) == before > 0


def test_a_frozen_server_keeps_its_connections_and_answers_afterwards(own, actions):
    with function(own) as kept, function(own) as hasty:
        asked(kept, "SELECT 1")
        hasty._read_timeout = 0.5
        with on(actions, "freeze"), pytest.raises(LOST):
            asked(hasty, "SELECT 1")
        assert asked(kept, "SELECT 2") == ((2,),)


def held_back_count(target):
    """How often a Docker server has been held back; of a local one, how often of 50 times it stood still."""
    folder = server_folders.folder_of(target.admin)
    if target.kind == "docker":
        files = "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>&1 || true"  # version 2 or 1
        said = compose.docker(["exec", compose.container_id(folder), "sh", "-c", files]).split()
        return int(said[said.index("nr_throttled") + 1])
    process, stopped_count = server_process(target), 0
    for _ in range(50):
        time.sleep(0.007)
        stopped_count += stands_still(process)
    return stopped_count


def test_a_slowed_server_gets_its_share_of_the_cpu_and_all_of_it_afterwards(own, actions):
    """Looks at what holds it back: how much it gets depends on what else wants the cores, too."""
    process = server_process(own)
    before_count = held_back_count(own)
    with function(own) as busy:
        busy._execute_command(COMMAND.COM_QUERY, "SELECT BENCHMARK(1000000000, SHA2('x', 256))")
        with on(actions, "slow:share=0.05"):  # a Docker server has two cores
            began, before_s = time.monotonic(), sum(process.cpu_times()[:2])
            wait_until(lambda: held_back_count(own) > before_count + 5)
            time.sleep(1)
            slowed_ratio = (sum(process.cpu_times()[:2]) - before_s) / (time.monotonic() - began)
        held_back = held_back_count(own) if own.kind == "docker" else 0
        again_s = sum(process.cpu_times()[:2])
        wait_until(lambda: sum(process.cpu_times()[:2]) > again_s + 0.5)
        assert held_back_count(own) == held_back
        with connections.session(own.admin) as cursor:
            cursor.execute(f"KILL {busy.thread_id()}")
        busy._force_close()
    assert 0 < slowed_ratio < 0.2


@pytest.mark.parametrize(
    ("fault", "variable", "meanwhile"),
    [
        ("connections:limit=12", "max_connections", 12),
        ("lease:timeout_s=2", "wait_timeout", 2),
        ("read-only", "read_only", 1),
    ],
)
def test_a_global_setting_is_changed_and_put_back(own, actions, fault, variable, meanwhile):
    def value():
        with function(own) as connection:
            return asked(connection, f"SELECT @@GLOBAL.{variable}")[0][0]

    before = value()
    with on(actions, fault):
        assert value() == meanwhile != before
    assert value() == before


def test_writes_to_a_read_only_server_are_refused(own, actions):
    with function(own) as connection, on(actions, "read-only"), pytest.raises(pymysql.Error) as refused:
        asked(connection, "UPDATE loadtest_rows SET payload = payload WHERE id = 1")
    assert refused.value.args[0] == 1290


def test_the_share_of_the_connections_is_killed_and_no_other(own, actions):
    held = [function(own) for _ in range(10)]
    try:
        with on(actions, "kill-connections:share=0.3"):
            pass
        assert sum(is_alive(one.thing) for one in held) == 7
    finally:
        for one in held:
            one.thing._force_close()


def test_a_share_of_few_connections_is_one_of_them(own, actions):
    with function(own) as connection:
        with on(actions, "kill-connections:share=0.01"):
            pass
        assert not is_alive(connection)


@pytest.fixture
def rotating(own):
    """With where the new password is put up."""
    board = Board()
    actions = FaultActions(own, None, Random(1), board=board)
    yield actions, board
    actions.restore()
    board.close()


def denied(target):
    with pytest.raises(pymysql.OperationalError) as refused:
        connections.connect(target.functions)
    return refused.value.args[0] == 1045


def with_newest(target, board):
    return replace(target, functions=replace(target.functions, password=board.notice.password))


def test_a_password_that_was_rotated_is_put_up_and_put_back_after_the_load(own, rotating):
    actions, board = rotating
    with on(actions, "rotate-password"):
        assert denied(own)
        assert rows_count(with_newest(own, board)) > 0
    first = with_newest(own, board)
    assert denied(own)
    with on(actions, "rotate-password"):
        assert denied(first)
    actions.restore()
    assert rows_count(own) > 0
    assert denied(with_newest(own, board))


def test_on_mysql_the_old_password_holds_until_the_fault_is_over(own, rotating):
    fault = parse_fault("rotate-password@0+1")
    if own.flavour == "mariadb":
        with pytest.raises(UsageError, match=r"MariaDB keeps no old password .* leave out its \+DURATION"):
            check_faults([fault], own)
        return
    check_faults([fault], own)
    actions, board = rotating
    actions.begin(fault)
    assert rows_count(own) == rows_count(with_newest(own, board)) > 0
    actions.end(fault)
    assert denied(own)
    assert rows_count(with_newest(own, board)) > 0


def test_a_password_that_the_harness_needs_itself_is_left_alone(one_account, own):
    fault = parse_fault("rotate-password@1")
    with pytest.raises(UsageError, match="the harness uses the account 'jack', too, and would be locked out"):
        check_faults([fault], one_account)
    poor = replace(own, admin=one_account.admin)
    with connections.session(own.admin) as cursor:
        cursor.execute("REVOKE ALL PRIVILEGES, GRANT OPTION FROM jack@'%'")
        cursor.execute("GRANT SELECT ON loadtest.* TO jack@'%'")
    with pytest.raises(UsageError, match="'jack' may not set the password of 'loadtest'"):
        check_faults([fault], poor)


@pytest.fixture
def one_account(own):
    """A target with one account, which may do all, as a given server may have."""
    everything = "CREATE USER jack@'%' IDENTIFIED BY 'jack'", "GRANT ALL ON *.* TO jack@'%'"
    with connections.session(own.admin) as cursor:
        for statement in everything:
            cursor.execute(statement)
    account = replace(own.functions, user="jack", password="jack")
    yield replace(own, admin=account, functions=account)
    with connections.session(own.admin) as cursor:
        cursor.execute("DROP USER jack@'%'")


def test_a_server_that_is_full_gets_its_connections_back(own, one_account):
    shared = FaultActions(one_account, None, Random(1))
    held = [function(one_account) for _ in range(15)]
    try:
        with on(shared, "connections:limit=10"), pytest.raises(pymysql.OperationalError):
            function(own)
    finally:
        for one in held:
            one.thing.close()
    shared.close()
    with function(own) as connection:
        assert asked(connection, "SELECT @@GLOBAL.max_connections") == ((20,),)


def test_connections_of_a_shared_account_are_killed_and_not_our_own(one_account):
    shared = FaultActions(one_account, None, Random(1))
    with function(one_account) as connection:
        with on(shared, "kill-connections:share=1"):
            pass
        assert not is_alive(connection)


def test_a_full_disk_refuses_what_has_to_grow_until_there_is_room(docker):  # noqa: ARG001 - asked for what it checks
    fault = parse_fault("disk-full@0")
    grow = "INSERT INTO big (b) VALUES (REPEAT('x', 1000000))"
    with launch.launched(ServerChoice("docker"), 20, fills=True) as target:
        check_faults([fault], target)
        with connections.session(target.admin) as cursor:
            cursor.execute("CREATE TABLE big (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)")
        with function(target) as connection:
            with on(FaultActions(target, None, Random(1)), "disk-full"):
                for _ in range(2):
                    with pytest.raises(pymysql.Error) as refused:
                        asked(connection, grow)
                    assert refused.value.args[0] == 1114
                assert asked(connection, "SELECT COUNT(*) FROM loadtest_rows")[0][0] > 0
            asked(connection, grow)


def test_a_disk_that_is_this_machines_is_never_filled(own, actions):
    fault = parse_fault("disk-full@0")
    with pytest.raises(UsageError, match=r"'disk-full@0' cannot be on this server: it takes a disk"):
        check_faults([fault], own)
    with pytest.raises((UsageError, ServerUnavailable)):
        actions.begin(fault)


def test_an_account_without_the_right_is_said_before_anything_is_done(own):
    poor = replace(own, admin=own.functions)
    with pytest.raises(UsageError, match=r"'lease@1' cannot be on this server: 'loadtest' may not set"):
        check_faults([parse_fault("lease@1")], poor)


def test_a_server_that_does_not_come_back_is_said_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr(server_folders, "_bases", lambda: [tmp_path])
    with launch.launched(ServerChoice("local"), 20) as target:
        lonely = FaultActions(target, None, Random(1))
        fault = parse_fault("kill@0")
        lonely.begin(fault)
        (data,) = tmp_path.glob("*/data")
        data.rename(data.with_name("gone"))
        with pytest.raises(ServerUnavailable, match=r"did not answer within .* its process ended"):
            lonely.end(fault)


def is_alive(connection):
    try:
        asked(connection, "SELECT 1")
    except LOST:
        return False
    return True


def test_what_cannot_be_done_to_a_server_is_said_before_anything_is(own):
    given = replace(own, admin=replace(own.admin, user="somebody"))
    with pytest.raises(UsageError, match=r"'kill@3\+1' cannot be on this server: its process is not ours"):
        check_faults([parse_fault("connections@1"), parse_fault("kill@3+1")], given)
    if own.flavour == "mariadb":
        with pytest.raises(UsageError, match="MariaDB takes no limit below 10"):
            check_faults([parse_fault("connections:limit=5@1")], own)


# The way there


@pytest.fixture
def relayed(mariadb_target):
    """A target whose functions go through a relay, and what disturbs it."""
    relay = RelayProcess(mariadb_target.functions)
    account = replace(mariadb_target.functions, port=relay.port)
    yield replace(mariadb_target, functions=account), FaultActions(mariadb_target, relay, Random(1))
    relay.close()


def test_a_relay_that_does_nothing_changes_nothing(relayed):
    target, _ = relayed
    with function(target) as connection:
        large = asked(connection, "SELECT REPEAT('x', 1000000)")[0][0]
        assert large == "x" * 1_000_000


@pytest.mark.parametrize(
    ("fault", "least_s"),
    # 100 kB, at 1 Mbit/s and in two pieces
    [("delay:ms=300", 0.3), ("bandwidth:kbit_per_s=1000", 0.7), ("cut:ms=300", 0.3)],
)
def test_answers_come_late_and_whole(relayed, fault, least_s):
    target, actions = relayed
    with function(target) as connection:
        with on(actions, fault):
            began = time.monotonic()
            assert len(asked(connection, "SELECT REPEAT('x', 100000)")[0][0]) == 100_000
            assert time.monotonic() - began >= least_s
        assert asked(connection, "SELECT 1") == ((1,),)


def test_a_reset_ends_what_there_is_and_new_connections_while_it_lasts(relayed):
    target, actions = relayed
    with function(target) as connection:
        fault = parse_fault("reset@0+1")
        actions.begin(fault)
        with pytest.raises(LOST):
            asked(connection, "SELECT 1")
        with pytest.raises(LOST):
            connections.connect(target.functions, timeout_s=5.0)
        actions.end(fault)
    assert rows_count(target) > 0


def test_in_a_black_hole_a_connection_that_loses_something_stays_dead_and_another_does_not(relayed):
    target, actions = relayed
    with function(target) as unlucky, function(target) as lucky:
        asked(lucky, "SELECT 1")
        unlucky._read_timeout = 1.0
        with on(actions, "black-hole"), pytest.raises(LOST):
            asked(unlucky, "SELECT 1")
        assert asked(lucky, "SELECT 2") == ((2,),)
        assert not is_alive(unlucky)
    assert rows_count(target) > 0


def test_a_half_closed_connection_has_ended_for_the_function_and_not_for_the_server(relayed):
    target, actions = relayed
    with function(target) as connection:
        number = connection.thread_id()
        with on(actions, "half-close"):
            pass
        with pytest.raises(LOST):
            asked(connection, "SELECT 1")
    with connections.session(target.admin) as cursor:
        assert cursor.execute(f"SELECT 1 FROM information_schema.processlist WHERE id = {number}") == 1
        cursor.execute(f"KILL {number}")


def test_a_black_hole_lets_no_end_through_either_way(relayed):
    target, actions = relayed
    with function(target) as left, function(target) as killed, connections.session(target.admin) as cursor:
        numbers = left.thread_id(), killed.thread_id()
        with on(actions, "black-hole"):
            left._force_close()
            cursor.execute(f"KILL {numbers[1]}")
            killed._read_timeout = 1.0
            with pytest.raises(pymysql.OperationalError) as silence:
                asked(killed, "SELECT 1")
            assert "timed out" in str(silence.value)
        there = f"SELECT 1 FROM information_schema.processlist WHERE id = {numbers[0]}"
        assert cursor.execute(there) == 1
        cursor.execute(f"KILL {numbers[0]}")


def test_after_a_failover_new_connections_are_on_the_second_server_and_kept_ones_on_the_first(
    mariadb_target, own
):
    relay = RelayProcess(mariadb_target.functions)
    target = replace(mariadb_target, functions=replace(mariadb_target.functions, port=relay.port))
    actions = FaultActions(target, relay, Random(1), second=replaced_by(own, target))
    write = "UPDATE loadtest_rows SET payload = payload WHERE id = 1"
    try:
        with function(target) as kept:
            with on(actions, "failover"), function(target) as early:
                for connection in (kept, early):
                    with pytest.raises(pymysql.Error) as refused:
                        asked(connection, write)
                    assert refused.value.args[0] == 1290
            with function(target) as late:
                asked(late, write)
                assert asked(late, "SELECT @@port")[0][0] == asked_admin(own, "SELECT @@port")
            with pytest.raises(pymysql.Error) as refused:
                asked(kept, write)
            assert refused.value.args[0] == 1290
    finally:
        actions.restore()
        actions.close()
        relay.close()
        with connections.session(own.admin) as cursor:
            cursor.execute(set_password(own), (own.functions.password,))
    assert asked_admin(mariadb_target, "SELECT @@GLOBAL.read_only") == 0


def set_password(target):
    if target.flavour == "mariadb":
        return "SET PASSWORD FOR loadtest@'%%' = PASSWORD(%s)"
    return "ALTER USER loadtest@'%%' IDENTIFIED BY %s"


def asked_admin(target, sql):
    with connections.session(target.admin) as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_what_is_slow_is_so_no_longer_than_its_fault(relayed):
    target, actions = relayed
    fault = parse_fault("bandwidth:kbit_per_s=8@0")
    with function(target) as connection:
        actions.begin(fault)
        took = []
        asking = threading.Thread(target=lambda: took.append(asked(connection, "SELECT REPEAT('x', 60000)")))
        began = time.monotonic()
        asking.start()
        time.sleep(0.2)
        actions.end(fault)
        asking.join()
        assert took
        assert time.monotonic() - began < 30, "60 kB take a minute at 1 kB/s"


def test_a_relay_that_has_died_is_said(relayed):
    _, actions = relayed
    actions._relay._process.kill()
    actions._relay._process.wait()
    with pytest.raises(ServerUnavailable, match="the relay between functions and server has ended"):
        actions.begin(parse_fault("reset@0"))


def test_a_server_that_drops_a_connection_is_heard_through_the_relay(relayed):
    target, _ = relayed
    with function(target) as connection:
        asked(connection, "SET SESSION wait_timeout = 1")
        wait_until(lambda: not is_alive_untouched(connection), what="the end of the lease")


def is_alive_untouched(connection):
    from loadtest.manager.liveness import is_readable

    return not is_readable(connection._sock)


def test_the_monitor_takes_off_nothing_that_a_restarted_server_does_not_know_of(own, actions):
    monitor = Monitor(own.admin, own.functions, time.monotonic())
    before = [monitor.sample() for _ in range(10)][-1]
    with on(actions, "kill"):
        assert monitor.sample().error
    after = monitor.sample()
    monitor.close()
    assert (before.error, after.error) == ("", "")
    assert after.questions_count < before.questions_count
    # What is left is of those who waited for its answer, and of its own start.
    assert 0 <= after.opened_count <= 20
    assert 0 <= after.questions_count <= 20
