"""A custom runtime as AWS documents it, with nothing but the standard library."""

import json
import os
import urllib.error
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def post(path, content):
    request = urllib.request.Request(f"{API}/{path}", json.dumps(content).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


while True:
    with urllib.request.urlopen(f"{API}/invocation/next") as request:
        identity, event = request.headers["Lambda-Runtime-Aws-Request-Id"], json.load(request)
    codes = [post("invocation/another/response", {}), post("nowhere", {})]
    if event.get("fail"):
        post(f"invocation/{identity}/error", {"errorType": "Own.Kind", "errorMessage": "as asked"})
    else:
        post(f"invocation/{identity}/response", {"codes": codes, "handler": os.environ["_HANDLER"]})
