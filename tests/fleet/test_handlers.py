"""The manager in a plain handler, under load: with the fixtures that the package brings for such tests."""

import pytest

from loadtest.manager import ConnectionManager

LOAD = {"rate": 200, "work_ms": 5, "cold_start_ms": 200, "reap_probability": 0.2, "reruns": 0}


def with_manager(connect):
    db = ConnectionManager(library=connect)

    def handler(event, context):
        with db.invocation(context):
            return db.query("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))

    return handler


def without(connect):
    connection = connect()

    def handler(event, _context):
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))

    return handler


@pytest.mark.nightly
def test_a_handler_with_the_manager_survives_forty_zombies_a_second(loadtest_fleet):
    seen = loadtest_fleet(with_manager, **LOAD)
    assert seen.error_ratio == 0
    assert seen.zombies.left_count > 100, "more than the server's 90 connections"


@pytest.mark.nightly
def test_the_same_handler_without_it_does_not(loadtest_fleet):
    seen = loadtest_fleet(without, **LOAD)
    assert seen.error_ratio > 0.3
    assert seen.errors["1040 ER_CON_COUNT_ERROR"] > 100
