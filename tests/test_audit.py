"""`make audit`: nobody shall take "nothing was found out" for "nothing is wrong"."""

import os
import subprocess
import sys

import pytest

from tests.audit import PASSED, UNDECIDED, VULNERABLE, verdict
from tests.places import ROOT

GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("known", "code", "said"),
    [
        ([GOOD, GOOD], PASSED, "none of 2 packages is known to be vulnerable"),
        ([GOOD, BAD, UNKNOWN], VULNERABLE, "bad 1.0 is vulnerable: PYSEC-1 (fixed in 1.1)"),
        (
            [GOOD, UNKNOWN],
            UNDECIDED,
            "1 of 2 packages could not be looked up (unknown): it needs the network",
        ),
        ([], UNDECIDED, "0 of 0 packages"),
    ],
)
def test_the_verdict_on_what_pip_audit_found(known, code, said):
    seen = verdict({"dependencies": known})
    assert seen[0] == code
    assert said in seen[1]


def test_without_a_network_it_says_so_and_what_to_do():
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    env = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.audit"], cwd=ROOT, env={**env, **nowhere},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == UNDECIDED, ran
    assert "Traceback" not in ran.stderr
    assert ran.stderr.startswith("audit: ")
    assert "run `make audit` where there is one" in ran.stderr
