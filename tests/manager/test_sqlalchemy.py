"""`ManagedPool`: SQLAlchemy's engines and sessions over managed connections, on real servers."""

import gc
import threading
import time

import pymysql
import pytest
from sqlalchemy import NullPool, String, create_engine, event, exc, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import QueuePool

from loadtest.manager import Managed, NoConnection, TransactionLost
from loadtest.manager.sqlalchemy import ManagedPool, managed, managed_handler
from tests.manager.acting import filled, is_there, killed
from tests.manager.test_fork import in_a_child
from tests.waiting import wait_until

ID = text("SELECT CONNECTION_ID()")
KEEPS = Managed(lease_s=60)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "sqlalchemy_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))


@pytest.fixture
def engines(config):
    made = []

    def make(policy=None, connect_args=None, **more):
        of_manager = {} if policy is None else {"policy": policy}
        arguments = {**config, **of_manager, **(connect_args or {})}
        made.append(
            create_engine("mysql+pymysql://", **{"poolclass": ManagedPool, **more}, connect_args=arguments)
        )
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(engines):
    return engines(KEEPS)


@pytest.fixture
def items(engine, admin):
    admin.execute("SET SESSION lock_wait_timeout = 20")  # a transaction that is left open fails the test
    admin.execute("DROP TABLE IF EXISTS sqlalchemy_items")
    Base.metadata.create_all(engine)

    def there():
        admin.connection.commit()
        admin.execute("SELECT name FROM sqlalchemy_items ORDER BY id")
        return [name for (name,) in admin.fetchall()]

    yield there
    admin.connection.commit()
    admin.execute("DROP TABLE IF EXISTS sqlalchemy_items")


def own_id(engine):
    with engine.connect() as connection:
        return connection.execute(ID).scalar()


def invocations(engine, count):
    ids = []
    for _ in range(count):
        with managed(engine, 20.0):
            ids.append(own_id(engine))
    return ids


# The life of a connection


def test_one_connection_serves_an_invocation_and_the_policy_decides_what_comes_after(engines):
    engine = engines()
    ids = invocations(engine, 5)
    stats = engine.pool.stats
    # The first invocation of a container closes, as it does without SQLAlchemy.
    assert len(set(ids)) == 2 == stats.connects_count
    assert ids[1:] == [ids[1]] * 4
    assert (stats.reuses_count, stats.closed_count) == (3, 1)


def test_a_handler_is_one_invocation(engines):
    engine = engines(KEEPS)

    @managed_handler(engine)
    def handler(_event, _context):
        return own_id(engine), engine.pool._managers[0].remaining_s()

    ids, left = zip(*(handler({}, 20.0) for _ in range(3)), strict=True)
    assert len(set(ids[1:])) == 1
    assert all(0 < seconds <= 20.0 for seconds in left)


def test_a_coroutine_function_is_refused_at_its_decoration(engine):
    async def handler(_event, _context):
        pass

    with pytest.raises(TypeError, match="coroutine"):
        managed_handler(engine)(handler)


def test_a_session_that_was_not_closed_does_not_keep_its_connection_over_a_freeze(engine, items, admin):
    session = Session(engine)
    with managed(engine, 20.0):
        session.add(Item(name="undone"))
        session.flush()
        identity = session.execute(ID).scalar()
    wait_until(lambda: not is_there(admin, identity))
    with managed(engine, 20.0):
        with pytest.raises(exc.OperationalError, match=r"gone|lost"):
            session.execute(ID)
        session.rollback()
        assert session.execute(ID).scalar() != identity
    session.close()
    assert items() == []


def test_what_the_engine_sets_when_it_connects_is_kept_with_the_connection(engines):
    """SQLAlchemy sends SET NAMES on each connect, and listeners send their own."""
    engine = engines(KEEPS, isolation_level="READ COMMITTED")

    @event.listens_for(engine, "connect")
    def of_one_s_own(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sort_buffer_size = 300000")

    seen = set()
    for _ in range(4):
        with managed(engine, 20.0), engine.connect() as connection:
            level = connection.get_isolation_level()
            size = connection.execute(text("SELECT @@sort_buffer_size")).scalar()
            seen.add((connection.execute(ID).scalar(), level, size))
    assert len(seen) == 2  # connections: the first invocation closes
    assert {(level, size) for _, level, size in seen} == {("READ COMMITTED", 300000)}


def test_what_a_function_sets_is_not(engine):
    invocations(engine, 2)
    with managed(engine, 20.0), engine.connect() as connection:
        connection.execute(text("SET @mine = 1"))
        before = connection.execute(ID).scalar()
    assert invocations(engine, 1) != [before]


def test_an_isolation_level_of_one_checkout_is_taken_back_and_costs_no_connection(engine):
    invocations(engine, 2)
    # Each server knows one of the two names.
    variable = "tx_isolation" if engine.dialect.is_mariadb else "transaction_isolation"
    seen = set()
    for level in ("AUTOCOMMIT", "SERIALIZABLE", None):
        options = {} if level is None else {"isolation_level": level}
        with managed(engine, 20.0), engine.connect().execution_options(**options) as connection:
            row = connection.execute(
                text(f"SELECT @@autocommit, @@session.{variable}, CONNECTION_ID()")
            ).one()
            seen.add((level, *row[:2]))
            identity = row[2]
    assert seen == {
        ("AUTOCOMMIT", 1, "REPEATABLE-READ"),
        ("SERIALIZABLE", 0, "SERIALIZABLE"),
        (None, 0, "REPEATABLE-READ"),
    }
    assert invocations(engine, 1) == [identity]


# Losses


def test_a_dead_connection_is_noticed_at_checkout_without_a_ping(engine, admin):
    with managed(engine, 20.0):
        before = own_id(engine)
        killed(admin, before)
        assert own_id(engine) != before
    assert engine.pool.stats.expired_count == 1


def test_listeners_see_each_new_connection(engine, admin):
    seen = []
    event.listen(engine, "connect", lambda connection, _: seen.append(connection.thread_id()))
    with managed(engine, 20.0):
        first = own_id(engine)
        killed(admin, first)
        assert seen == [first, own_id(engine)]


def test_a_unit_of_work_is_never_repeated_in_part(engine, items, admin):
    with managed(engine, 20.0):
        with Session(engine) as session:
            session.add(Item(name="lost"))
            session.flush()
            killed(admin, session.execute(ID).scalar())
            session.add(Item(name="not sent"))
            with pytest.raises(exc.OperationalError) as told:
                session.flush()
            assert isinstance(told.value.orig, TransactionLost)
            assert told.value.connection_invalidated
        with Session(engine) as session, session.begin():
            session.add(Item(name="anew"))
    assert items() == ["anew"]


def test_a_session_goes_on_after_its_rollback(engine, items, admin):
    with managed(engine, 20.0), Session(engine) as session:
        session.execute(select(Item)).all()
        killed(admin, session.execute(ID).scalar())
        with pytest.raises(exc.OperationalError):
            session.execute(select(Item))
        session.rollback()
        session.add(Item(name="anew"))
        session.commit()
    assert items() == ["anew"]


def test_a_full_server_is_waited_for_until_the_deadline(target, engines):
    engine = engines(Managed(margin_s=0.2), connect_args={"cap_s": 0.05})
    with filled(target), pytest.raises(exc.OperationalError) as told, managed(engine, 1.0):
        own_id(engine)
    assert isinstance(told.value.orig, NoConnection)
    with managed(engine, 20.0):
        own_id(engine)
    assert engine.pool.stats.refused_count > 1


def test_credentials_may_differ_at_each_connect(engines, config):
    """As in SQLAlchemy's recipe for tokens: a listener puts the password in."""
    engine = engines(KEEPS, connect_args={"password": "an old token"})
    tokens = []

    @event.listens_for(engine, "do_connect")
    def provide_token(_dialect, _record, _arguments, named):
        tokens.append(named["password"])
        named["password"] = config.get("password", "")

    invocations(engine, 3)
    assert len(tokens) == 2 == engine.pool.stats.connects_count


def test_a_child_of_a_fork_opens_its_own(engine):
    with managed(engine, 20.0):
        before = own_id(engine)
        assert in_a_child(lambda: own_id(engine)) != before
        assert own_id(engine) == before


def test_a_lease_lasts_as_long_as_a_unit_of_work(engines, items):
    engine = engines(Managed(lease_s=1))
    with managed(engine, 30.0), Session(engine) as session, session.begin():
        session.add(Item(name="first"))
        session.flush()
        time.sleep(2.2)
        session.add(Item(name="second"))
    assert items() == ["first", "second"]


def test_a_checkout_may_lie_unused_for_longer_than_a_lease(engines):
    engine = engines(Managed(lease_s=1))
    with managed(engine, 30.0), engine.begin() as connection:
        time.sleep(1.8)
        connection.execute(text("DO 0"))
        time.sleep(1.8)
        connection.execute(text("DO 0"))


def test_a_unit_of_work_that_failed_holds_no_lock(engine, items, admin):
    with managed(engine, 20.0):
        with Session(engine) as session, session.begin():
            session.add(Item(id=1, name="there"))
        with pytest.raises(exc.IntegrityError), engine.begin() as connection:
            connection.execute(text("INSERT INTO sqlalchemy_items VALUES (1, 'again')"))
        admin.execute("SET SESSION innodb_lock_wait_timeout = 1")
        admin.execute("UPDATE sqlalchemy_items SET name = 'mine' WHERE id = 1")
    assert items() == ["mine"]


def test_rows_that_nobody_read_end_a_unit_of_work_well(engine, items):
    with managed(engine, 20.0):
        for read in (lambda rows: next(iter(rows)), lambda rows: rows.first()):
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO sqlalchemy_items (name) VALUES ('kept')"))
                streamed = connection.execution_options(yield_per=10)
                assert read(streamed.execute(text("SELECT id FROM loadtest_rows ORDER BY id"))) == (1,)
    assert items() == ["kept", "kept"]


def test_autocommit_by_hand_ends_with_its_checkout(engine):
    invocations(engine, 2)
    with managed(engine, 20.0):
        raw = engine.raw_connection()
        raw.autocommit(True)
        raw.cursor().execute("DO 0")
        raw.close()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT @@autocommit")).scalar() == 0


# The pool


def test_a_second_checkout_waits_no_longer_than_the_invocation_has(engine):
    started = time.monotonic()
    with managed(engine, 1.0), engine.connect():
        with pytest.raises(exc.TimeoutError, match="limit of size 1"):
            engine.connect()
    assert time.monotonic() - started < 15


def test_several_connections_have_a_manager_each(engines, admin):
    engine = engines(KEEPS, pool_size=2, max_overflow=1)
    with managed(engine, 20.0):
        with engine.connect() as one, engine.connect() as other, engine.connect() as third:
            ids = {connection.execute(ID).scalar() for connection in (one, other, third)}
        assert len(ids) == 3
    assert engine.pool.stats.connects_count == 3
    wait_until(lambda: sum(is_there(admin, identity) for identity in ids) <= 2)


def test_threads_wait_for_each_other(engine):
    ids = []

    def work():
        with engine.connect() as connection:
            connection.execute(text("DO SLEEP(0.1)"))
            ids.append(connection.execute(ID).scalar())

    with managed(engine, 20.0):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ids) == 3
    assert len(set(ids)) == 1


def test_after_dispose_there_is_a_new_connection_and_it_is_managed(engine):
    with managed(engine, 20.0):
        before = own_id(engine)
        engine.dispose()
        assert own_id(engine) != before
    assert engine.pool.stats.connects_count == 1
    ids = invocations(engine, 3)
    assert ids[1] == ids[2]


def test_rows_are_streamed(engine, items):
    with managed(engine, 20.0), engine.connect() as connection:
        rows = connection.execution_options(yield_per=100).execute(
            text("SELECT id FROM loadtest_rows ORDER BY id")
        )
        assert [rows.fetchone()[0] for _ in range(3)] == [1, 2, 3]
        assert len(rows.all()) > 1000
    assert items() == []


def test_a_pool_that_is_made_in_an_invocation_has_its_deadline_and_its_end(engine, admin):
    with managed(engine, 20.0):
        engine.dispose()
        connection = engine.connect()
        identity = connection.execute(ID).scalar()
        assert 0 < engine.pool._managers[0].remaining_s() <= 20.0
        engine.dispose()  # with a checkout of it under way
    wait_until(lambda: not is_there(admin, identity))
    connection.close()
    assert engine.pool._invocation.pools == [engine.pool]


def test_a_connection_that_was_detached_and_forgotten_is_closed(engine, admin):
    with managed(engine, 20.0):
        connection = engine.connect()
        identity = connection.execute(ID).scalar()
        connection.detach()
        del connection
        gc.collect()
        wait_until(lambda: not is_there(admin, identity))
        own_id(engine)
        assert len(engine.pool._managers) == 1


def test_a_connection_of_somebody_else_s_is_refused_with_a_sentence(config):
    engine = create_engine(
        "mysql+pymysql://", poolclass=ManagedPool, creator=lambda: pymysql.connect(**config)
    )
    with pytest.raises(exc.ArgumentError, match="creator"):
        engine.connect()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: create_engine("sqlite://", poolclass=ManagedPool), "PyMySQL"),
        (lambda: ManagedPool(lambda: None), "create_engine"),
        (lambda: managed_handler(create_engine("mysql+pymysql://", poolclass=NullPool)), "ManagedPool"),
        (lambda: managed(create_engine("mysql+pymysql://", poolclass=QueuePool)).__enter__(), "ManagedPool"),
    ],
)  # fmt: skip
def test_what_it_does_not_manage_is_refused_at_once(make, match):
    with pytest.raises((exc.ArgumentError, TypeError), match=match):
        make()


def test_a_mistyped_option_is_refused_with_the_nearest_name(engines):
    engine = engines(connect_args={"max_query_retires": 3})
    with pytest.raises(ValueError, match="max_query_retries"):
        engine.connect()


def test_it_sends_a_warm_transaction_alone_where_pre_ping_adds_a_ping_and_a_rollback(engines, admin):
    """Counted by the server: check-in of a finished transaction sends no ROLLBACK, checkout no ping."""

    def statements(engine):
        admin.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        before = int(admin.fetchone()[1])
        for _ in range(10):
            with engine.begin() as connection:
                connection.execute(text("SELECT 1"))
        admin.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        return (int(admin.fetchone()[1]) - before - 1) / 10

    counts = {}
    for name, engine in (
        ("managed", engines(KEEPS)),
        ("pinged", engines(poolclass=QueuePool, pool_pre_ping=True)),
    ):
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))
        counts[name] = statements(engine)
    assert counts == {"managed": 2, "pinged": 3}
