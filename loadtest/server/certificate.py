"""A certificate of our own making, for what we start on 127.0.0.1."""

import subprocess
from pathlib import Path
from typing import NamedTuple

DAYS = 30


class Certificate(NamedTuple):
    certificate: Path
    key: Path


def make(folder: Path) -> Certificate | None:
    """A certificate for 127.0.0.1 with its key, as files in ``folder``; None without openssl."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", str(DAYS), "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(made.key), "-out", str(made.certificate),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else made
