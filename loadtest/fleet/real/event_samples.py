"""Samples of what AWS sends to functions, one for each kind of sender. Pure.

Each takes an invocation's ``data``, ``{"id": "CLIENT/NUMBER", "group": N}``.

Source, for the fields: AWS Lambda developer guide, "Using Lambda with ..." of each service; API Gateway
developer guide, "Lambda proxy integrations"; Elastic Load Balancing, "Lambda functions as targets".
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from loadtest.fleet.real.launch_command import REGION

ACCOUNT = "000000000000"
DOMAIN = "shop.example.com"
TIME = "2026-01-01T00:00:00Z"
EPOCH_MS = 1_767_225_600_000
AGENT = "loadtest"

Data = dict[str, Any]


def plain(data: Data) -> Any:
    """``data`` itself."""
    return data


def api_gateway_rest(data: Data) -> Any:
    """API Gateway's REST API with ``data`` as body, payload format 1.0."""
    query = {name: str(value) for name, value in data.items()}
    headers = {"Accept": "application/json", "Content-Type": "application/json", "Host": DOMAIN,
               "User-Agent": AGENT, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Port": "443",
               "X-Forwarded-Proto": "https"}  # fmt: skip
    return {
        "resource": "/items/{group}",
        "path": f"/items/{data['group']}",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        "pathParameters": {"group": query["group"]},
        "stageVariables": None,
        "requestContext": {
            "resourceId": "abc123", "resourcePath": "/items/{group}", "httpMethod": "POST",
            "extendedRequestId": query["id"], "requestTime": "01/Jan/2026:00:00:00 +0000",
            "path": f"/test/items/{data['group']}", "accountId": ACCOUNT, "protocol": "HTTP/1.1",
            "stage": "test", "domainPrefix": "shop", "requestTimeEpoch": EPOCH_MS, "requestId": query["id"],
            "identity": {
                "cognitoIdentityPoolId": None, "accountId": None, "cognitoIdentityId": None, "caller": None,
                "sourceIp": "127.0.0.1", "principalOrgId": None, "accessKey": None,
                "cognitoAuthenticationType": None, "cognitoAuthenticationProvider": None, "userArn": None,
                "userAgent": AGENT, "user": None,
            },
            "domainName": DOMAIN, "apiId": "api1234567",
        },
        "body": json.dumps(data),
        "isBase64Encoded": False,
    }  # fmt: skip


def api_gateway_http(data: Data) -> Any:
    """API Gateway's HTTP API and function URLs with ``data`` as body, payload format 2.0."""
    query = {name: str(value) for name, value in data.items()}
    return {
        "version": "2.0",
        "routeKey": "POST /items/{group}",
        "rawPath": f"/items/{data['group']}",
        "rawQueryString": f"id={query['id'].replace('/', '%2F')}&group={query['group']}",
        "headers": {"accept": "application/json", "content-type": "application/json", "host": DOMAIN,
                    "user-agent": AGENT, "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "443",
                    "x-forwarded-proto": "https"},
        "queryStringParameters": query,
        "requestContext": {
            "accountId": ACCOUNT, "apiId": "api1234567", "domainName": DOMAIN, "domainPrefix": "shop",
            "http": {"method": "POST", "path": f"/items/{data['group']}", "protocol": "HTTP/1.1",
                     "sourceIp": "127.0.0.1", "userAgent": AGENT},
            "requestId": query["id"], "routeKey": "POST /items/{group}", "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": EPOCH_MS,
        },
        "pathParameters": {"group": query["group"]},
        "body": json.dumps(data),
        "isBase64Encoded": False,
    }  # fmt: skip


def alb(data: Data) -> Any:
    """An Application Load Balancer's target group, with ``data`` as body."""
    return {
        "requestContext": {"elb": {"targetGroupArn": _arn("elasticloadbalancing", "targetgroup/shop/1")}},
        "httpMethod": "POST",
        "path": f"/items/{data['group']}",
        "queryStringParameters": {"id": data["id"].replace("/", "%2F"), "group": str(data["group"])},
        "headers": {"accept": "application/json", "content-type": "application/json", "host": DOMAIN,
                    "user-agent": AGENT, "x-amzn-trace-id": "Root=1-00000000-000000000000000000000000",
                    "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "443", "x-forwarded-proto": "https"},
        "body": json.dumps(data),
        "isBase64Encoded": False,
    }  # fmt: skip


def sqs(data: Data) -> Any:
    """A batch of one message from a queue, ``data`` its body."""
    body = json.dumps(data)
    return {"Records": [{
        "messageId": data["id"],
        "receiptHandle": f"handle-{data['id']}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(EPOCH_MS),
                       "SenderId": "AIDAEXAMPLE", "ApproximateFirstReceiveTimestamp": str(EPOCH_MS)},
        "messageAttributes": {},
        "md5OfBody": "00000000000000000000000000000000",
        "eventSource": "aws:sqs",
        "eventSourceARN": _arn("sqs", "shop"),
        "awsRegion": REGION,
    }]}  # fmt: skip


def sns(data: Data) -> Any:
    """A notification of a topic, ``data`` its message."""
    return {"Records": [{
        "EventVersion": "1.0",
        "EventSubscriptionArn": _arn("sns", "shop:00000000-0000-0000-0000-000000000000"),
        "EventSource": "aws:sns",
        "Sns": {"SignatureVersion": "1", "Timestamp": TIME, "Signature": "EXAMPLE",
                "SigningCertUrl": f"https://{DOMAIN}/cert.pem", "MessageId": data["id"],
                "Message": json.dumps(data), "MessageAttributes": {}, "Type": "Notification",
                "UnsubscribeUrl": f"https://{DOMAIN}/unsubscribe", "TopicArn": _arn("sns", "shop"),
                "Subject": "shop"},
    }]}  # fmt: skip


def eventbridge(data: Data) -> Any:
    """An event of a bus, ``data`` its detail."""
    return {
        "version": "0", "id": data["id"], "detail-type": "item wanted", "source": "shop", "account": ACCOUNT,
        "time": TIME, "region": REGION, "resources": [], "detail": data,
    }  # fmt: skip


def kinesis(data: Data) -> Any:
    """A batch of one record from a stream, ``data`` in base64."""
    number = "".join(character for character in data["id"] if character.isdigit()).zfill(56)
    return {"Records": [{
        "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": str(data["group"]),
                    "sequenceNumber": number, "data": base64.b64encode(json.dumps(data).encode()).decode(),
                    "approximateArrivalTimestamp": EPOCH_MS / 1000},
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/shop",
        "awsRegion": REGION,
        "eventSourceARN": _arn("kinesis", "stream/shop"),
    }]}  # fmt: skip


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


SAMPLES: dict[str, Callable[[Data], Any]] = {
    "plain": plain, "api-gateway-rest": api_gateway_rest, "api-gateway-http": api_gateway_http, "alb": alb,
    "sqs": sqs, "sns": sns, "eventbridge": eventbridge, "kinesis": kinesis,
}  # fmt: skip
