"""Are packages that we depend on known to be vulnerable? ``python -m tests.audit``, or ``make audit``.

pip-audit asks for each package that is installed, and ends with 0 also if nobody could tell it anything. Here
that is no verdict: 0 none is, 1 some are, 3 it could not be found out, and why.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PASSED, VULNERABLE, UNDECIDED = 0, 1, 3
SHOWN_COUNT = 5
LONGEST_S = 120.0
WHAT_TO_DO = (
    "it needs the network, or a mirror that has the index's JSON: run `make audit` where there is one (a "
    "proxy is named by HTTPS_PROXY, a mirror by pip's own index-url)"
)


def verdict(report: dict[str, Any] | None, said: str = "") -> tuple[int, str]:
    """The exit code, and what to say; ``report`` is pip-audit's, None if it wrote none but ``said`` why."""
    if report is None:
        reason = (said.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return UNDECIDED, f"audit: nothing was found out, since {reason[:120]}: {WHAT_TO_DO}"
    known = report["dependencies"]
    wrong = [one for one in known if one.get("vulns")]
    if wrong:
        return VULNERABLE, "\n".join(_line(one) for one in wrong)
    left = [one["name"] for one in known if "vulns" not in one]
    if left or not known:
        some = ", ".join(left[:SHOWN_COUNT]) + (", …" if len(left) > SHOWN_COUNT else "")
        return (
            UNDECIDED,
            f"audit: {len(left)} of {len(known)} packages could not be looked up ({some}): {WHAT_TO_DO}",
        )
    return PASSED, f"audit: none of {len(known)} packages is known to be vulnerable"


def _line(one: dict[str, Any]) -> str:
    found = ", ".join(
        f"{vuln['id']} (fixed in {', '.join(vuln['fix_versions']) or 'no version yet'})"
        for vuln in one["vulns"]
    )
    return f"audit: {one['name']} {one['version']} is vulnerable: {found}"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "audit.json")
        words = [
            "--skip-editable",
            "--progress-spinner",
            "off",
            "--desc",
            "off",
            "--format",
            "json",
            "--output",
        ]
        command = [sys.executable, "-m", "pip_audit", *words, str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            print(verdict(None, f"nobody had answered after {LONGEST_S:g} s")[1], file=sys.stderr)
            return UNDECIDED
        report = json.loads(out.read_text("utf-8")) if out.exists() and out.stat().st_size else None
    # Our own package is on no index.
    if report is not None:
        report["dependencies"] = [d for d in report["dependencies"] if d["name"] != "connection-pressure"]
    code, text = verdict(report, done.stderr)
    print(text, file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
