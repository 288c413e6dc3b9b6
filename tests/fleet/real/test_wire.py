"""What the relay tells from the bytes of a connection, whatever pieces they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.fleet.real.wire import HEAD, Packets, Phase, Wire

GREETING = b"\x0a9.7.0\x00" + (4711).to_bytes(4, "little") + b"salt----" + b"\x00" + b"rest of it"
LOGIN = b"\x85\xa6\xff\x01" + b"\x00" * 28 + b"loadtest\x00"
SSL_REQUEST = b"\x85\xae\xff\x01" + b"\x00" * 28
OK = b"\x00\x00\x00\x02\x00\x00\x00"
TOO_MANY = b"\xff\x10\x04#08004Too many connections"


def packet(payload, sequence=0):
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


def logged_in():
    wire = Wire()
    wire.server_sent(packet(GREETING))
    wire.client_sent(packet(LOGIN, 1))
    wire.server_sent(packet(OK, 2))
    return wire


@given(st.lists(st.binary(max_size=3 * HEAD), max_size=8), st.data())
def test_packets_are_found_whatever_pieces_they_come_in(payloads, data):
    stream = b"".join(packet(payload, number % 256) for number, payload in enumerate(payloads))
    found, packets = [], Packets()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += packets.feed(stream[:size])
        stream = stream[size:]
    assert found == [(number, len(one), one[:HEAD]) for number, one in enumerate(payloads)]


def test_a_connection_is_known_by_the_servers_id_once_it_has_logged_in():
    wire = Wire()
    assert wire.phase is Phase.GREETING
    wire.server_sent(packet(GREETING))
    assert (wire.server_id, wire.phase) == (4711, Phase.LOGIN)
    wire.client_sent(packet(LOGIN, 1))
    wire.server_sent(packet(b"\xfecaching_sha2_password\x00salt", 2))
    assert wire.phase is Phase.LOGIN
    wire.server_sent(packet(OK, 4))
    assert wire.phase is Phase.READY
    assert wire.commands_count == 0


@pytest.mark.parametrize("greets_first", [True, False])
def test_a_refusal_is_no_connection_whether_or_not_the_server_greets_first(greets_first):
    wire = Wire()
    if greets_first:
        wire.server_sent(packet(GREETING))
        wire.client_sent(packet(LOGIN, 1))
    wire.server_sent(packet(TOO_MANY, 2))
    assert (wire.phase, wire.error_code) == (Phase.REFUSED, 1040)


def test_nothing_is_read_of_what_is_encrypted():
    wire = Wire()
    wire.server_sent(packet(GREETING))
    wire.client_sent(packet(SSL_REQUEST, 1) + b"\x16\x03\x01 noise")
    assert wire.phase is Phase.OPAQUE
    wire.client_sent(packet(b"\x01"))
    wire.server_sent(packet(TOO_MANY))
    assert (wire.has_quit, wire.error_code, wire.server_id) == (False, 0, 4711)


def test_it_is_busy_from_a_command_until_its_answer():
    wire = logged_in()
    wire.client_sent(packet(b"\x03SELECT 1"))
    assert (wire.is_busy, wire.commands_count) == (True, 1)
    wire.server_sent(packet(b"\x01"))
    assert not wire.is_busy
    wire.client_sent(packet(b"\x03SELECT nothing"))
    wire.server_sent(packet(b"\xff\x1e\x04#42S22Unknown column", 1))
    assert (wire.is_busy, wire.error_code) == (False, 1054)


def test_a_row_that_looks_like_an_error_is_none():
    wire = logged_in()
    wire.client_sent(packet(b"\x03SELECT 1"))
    wire.server_sent(packet(b"\x01") + packet(b"\xff\x10\x04", 1))
    assert wire.error_code == 0


def test_a_goodbye_waits_for_no_answer():
    wire = logged_in()
    wire.client_sent(packet(b"\x01"))
    assert (wire.has_quit, wire.is_busy) == (True, False)


def test_statements_are_those_that_the_server_counts_as_questions():
    wire = logged_in()
    # COM_QUERY, COM_PING, COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_CLOSE, COM_QUIT
    for command in (b"\x03SELECT 1", b"\x0e", b"\x16SELECT ?", b"\x17\x01", b"\x19\x01", b"\x01"):
        wire.client_sent(packet(command))
        wire.server_sent(packet(b"\x00"))
    assert (wire.commands_count, wire.statements_count) == (5, 2)


@pytest.mark.parametrize(("flags", "several"), [(0x0000_A285, False), (0x0001_A285, True)])
def test_who_may_send_several_statements_in_one_says_so_in_the_login(flags, several):
    wire = Wire()
    wire.server_sent(packet(GREETING))
    wire.client_sent(packet(flags.to_bytes(4, "little") + bytes(60), 1))
    assert wire.may_be_several is several


@pytest.mark.parametrize(
    ("statement", "victim"),
    [
        (b"KILL 12", 12),
        (b"kill connection 12", 12),
        (b"KILL QUERY 12", None),
        (b"SELECT 12", None),
        (b"KILL", None),
    ],
)
def test_who_is_killed(statement, victim):
    wire = logged_in()
    wire.client_sent(packet(b"\x03" + statement))
    assert wire.victim == victim
