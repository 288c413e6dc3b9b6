"""What a fault has changed is put back as soon as the server lets us, or a person is told what to do."""

import pymysql
import pytest

from loadtest.errors import ServerUnavailable
from loadtest.server import undo


def failing(errors):
    """A step that raises each of ``errors`` in turn, then succeeds; and how often it was tried."""
    tried = []

    def step():
        tried.append(1)
        if len(tried) <= len(errors):
            raise errors[len(tried) - 1]

    return step, tried


def test_it_is_tried_until_the_server_lets_us():
    step, tried = failing(
        [pymysql.OperationalError(2003, "not yet"), OSError("nor now"), ServerUnavailable("nor now")]
    )
    undo.put_back(step, "wait_timeout", "set it to 28800 by hand")
    assert len(tried) == 4


def test_in_the_end_a_person_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(undo, "BACK_S", 0.0)
    step, _ = failing([pymysql.OperationalError(2003, "gone")] * 1000)
    said = r"wait_timeout could not be put back \(2003 .*\): set it to 28800 by hand"
    with pytest.raises(ServerUnavailable, match=said):
        undo.put_back(step, "wait_timeout", "set it to 28800 by hand")


def test_what_is_wrong_with_us_is_not_tried_again():
    step, tried = failing([KeyError("a mistake")])
    with pytest.raises(KeyError):
        undo.put_back(step, "wait_timeout", "set it by hand")
    assert len(tried) == 1
