"""What a real function is sent, and which of its answers are failures to who sent it."""

import base64
import json

import pytest

from loadtest.errors import UsageError
from loadtest.fleet.real.event_samples import SAMPLES
from loadtest.fleet.real.events import Events

WORK = {"id": "7/12", "group": 3}


def event(source, home=""):
    return json.loads(Events(str(source), str(home)).event(WORK["id"], WORK["group"]))


def problem(source, answer, home=""):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Events(str(source), str(home)).problem(body)


@pytest.mark.parametrize(
    ("sample", "work_of"),
    [
        ("plain", lambda event: event),
        ("api-gateway-rest", lambda event: json.loads(event["body"])),
        ("api-gateway-http", lambda event: json.loads(event["body"])),
        ("alb", lambda event: json.loads(event["body"])),
        ("sqs", lambda event: json.loads(event["Records"][0]["body"])),
        ("sns", lambda event: json.loads(event["Records"][0]["Sns"]["Message"])),
        ("eventbridge", lambda event: event["detail"]),
        ("kinesis", lambda event: json.loads(base64.b64decode(event["Records"][0]["kinesis"]["data"]))),
    ],
)
def test_each_sample_carries_the_work_where_its_sender_puts_it(sample, work_of):
    assert work_of(event(sample)) == WORK
    assert sample in SAMPLES


def test_what_is_in_the_query_and_the_path_is_text():
    for sample in ("api-gateway-rest", "api-gateway-http"):
        found = event(sample)
        assert found["queryStringParameters"] == {"id": "7/12", "group": "3"}
        assert found["pathParameters"] == {"group": "3"}
    assert event("alb")["path"] == "/items/3"


def test_a_file_of_ones_own_gets_its_values_in_strings_and_in_numbers(tmp_path):
    (tmp_path / "mine.json").write_text(
        '{"n": {{group}}, "body": "{\\"id\\": \\"{{id}}\\"}", "g{{group}}": 1}'
    )
    found = event("mine.json", tmp_path)
    assert found == {"n": 3, "body": '{"id": "7/12"}', "g3": 1}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"statusCode": 200, "body": "x"}, ""),
        ({"statusCode": "204"}, ""),
        ({"statusCode": 404}, ""),
        ({"statusCode": 503, "body": "busy"}, "http 503"),
        ({"statusCode": "500"}, "http 500"),
        ({"body": "no status"}, "http 502"),
        ({"statusCode": "fine"}, "http 502"),
        ({"statusCode": True}, "http 502"),
        ({"statusCode": 9}, "http 502"),
        ([1, 2], "http 502"),
        (None, "http 502"),
        (b"<html>", "http 502"),
        (b"", "http 502"),
        (b"[" * 100_000, "http 502"),
        ({"statusCode": "9" * 5000}, "http 502"),
    ],
)
@pytest.mark.parametrize("sample", ["api-gateway-rest", "alb"])
def test_a_gateway_takes_5xx_and_what_has_no_status_for_failures(sample, answer, error):
    assert problem(sample, answer) == error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"statusCode": 201}, ""),
        ({"statusCode": 503}, "http 503"),
        ({"statusCode": "fine"}, "http 500"),
        ({"rows": 5}, ""),
        ("just text", ""),
        (b"not json", ""),
        (b'{"statusCode": 503}' + b"\0" * 8 + b"streamed", "http 503"),
        (b'{"statusCode": 200}' + b"\0" * 8 + b"streamed", ""),
    ],
)
def test_an_http_api_takes_what_has_no_status_for_an_answer(answer, error):
    assert problem("api-gateway-http", answer) == error


@pytest.mark.parametrize("sample", ["sqs", "kinesis"])
def test_a_message_that_is_handed_back_is_a_failure(sample):
    assert problem(sample, {"batchItemFailures": [{"itemIdentifier": "7/12"}]}) == "batchItemFailures"
    for answer in ({"batchItemFailures": []}, {}, None, {"batchItemFailures": None}, b"", [1]):
        assert problem(sample, answer) == ""


@pytest.mark.parametrize("sample", ["plain", "sns", "eventbridge"])
def test_others_do_not_read_the_answer(sample):
    for answer in ({"statusCode": 503}, {"batchItemFailures": [1]}, b"\xff"):
        assert problem(sample, answer) == ""


def test_a_file_is_judged_by_what_it_looks_like(tmp_path):
    for sample in SAMPLES:
        (tmp_path / "copy.json").write_text(json.dumps(event(sample)))
        for answer in ({"statusCode": 503}, {"batchItemFailures": [1]}):
            assert problem("copy.json", answer, tmp_path) == problem(sample, answer)


@pytest.mark.parametrize(
    ("source", "content", "said"),
    [
        ("sqss", None, "unknown event 'sqss' .did you mean sqs"),
        ("./nowhere.json", None, "cannot be read: .*No such file"),
        ("bad.json", "{", "is not JSON once {{id}} and {{group}} have values"),
        ("bad.json", '{"group": {{grp}}}', "is not JSON once"),
        ("bad.json", b"\xff\xfe", "cannot be read"),
    ],
)
def test_an_event_that_cannot_be_sent_is_refused(tmp_path, source, content, said):
    if content is not None:
        (tmp_path / source).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=said):
        Events(source, str(tmp_path))
