"""An answer that fails after it has begun says so in the trailers of its last chunk."""

import base64
import json
import socket

import gevent
import pytest
from gevent import socket as patient

from loadtest.fleet.real.runtime_api import RuntimeApi

PATH = "/2018-06-01/runtime/invocation/id-1/response"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = base64.b64encode(json.dumps({"errorType": "Own.Kind", "errorMessage": "broken off"}).encode()).decode()
TYPE = "Lambda-Runtime-Function-Error-Type"
LIKE_A_TRAILER = f"\r\n{TYPE}: None\r\n"


class Told:
    """A service that keeps what it is told."""

    def __init__(self):
        self.said = []

    def answered(self, _request_id, answer):
        self.said.append(answer)

    def failed(self, _request_id, error):
        self.said.append((error["errorType"], error["errorMessage"]))


@pytest.mark.parametrize(
    ("sent", "said", "status"),
    [
        ("3\r\nabc\r\n0\r\n\r\n", b"abc", 202),
        ("1\r\na\r\n1\r\nb\r\n0\r\n\r\n", b"ab", 202),
        (f"3\r\nabc\r\n0\r\n{TYPE}: Other\r\nLambda-Runtime-Function-Error-Body: {BODY}\r\n\r\n",
         ("Own.Kind", "broken off"), 202),
        (f"1\r\na\r\n0\r\n{TYPE.lower()}:Own.Kind\r\n\r\n", ("Own.Kind", ""), 202),
        (f"0\r\n{TYPE}: Own.Kind\r\nLambda-Runtime-Function-Error-Body: !\r\n\r\n", ("Own.Kind", ""), 202),
        ("3\r\nabc\r\n0\r\nAnother: trailer\r\n\r\n", b"abc", 202),
        (f"{len(LIKE_A_TRAILER):x}\r\n{LIKE_A_TRAILER}\r\n0\r\n\r\n", LIKE_A_TRAILER.encode(), 202),
        ("3\r\nab", ("Runtime.TruncatedResponse", ""), 400),
        ("no chunk\r\n", ("Runtime.TruncatedResponse", ""), 400),
    ],
)  # fmt: skip
def test_it_is_told_with_its_error_or_as_an_answer(sent, said, status):
    service = Told()
    api = RuntimeApi(service)
    host, port = api.address.split(":")
    try:
        with gevent.Timeout(20), patient.create_connection((host, int(port))) as connection:
            connection.sendall((HEAD + sent).encode())
            connection.shutdown(socket.SHUT_WR)
            assert int(connection.recv(100).split()[1]) == status
    finally:
        api.close()
    assert service.said == [said]
