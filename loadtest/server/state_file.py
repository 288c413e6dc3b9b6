"""The file by which later commands find a server that outlives the command that started it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError
from loadtest.server.server_folders import STATE
from loadtest.server.target import Target


def write(folder: Path, target: Target) -> None:
    """The file has passwords, so its mode is 0600, in a folder of mode 0700. Raises OSError."""
    values = {**asdict(target), "functions": target.functions.url(), "admin": target.admin.url()}
    state = folder / STATE
    part = state.with_suffix(".part")
    part.touch(0o600)
    part.write_text(json.dumps(values), "utf-8")
    part.replace(state)


def read(folder: Path) -> Target | None:
    """None if the file is not one of ours."""
    try:
        values: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
        values["functions"], values["admin"] = Dsn.parse(values["functions"]), Dsn.parse(values["admin"])
        return Target(**{**values, "warnings": tuple(values["warnings"])})
    except (OSError, ValueError, KeyError, TypeError, LoadtestError):
        return None


def described(target: Target) -> str:
    """``local mariadb 10.11.6 on 127.0.0.1:40123``."""
    where = f"{target.functions.host}:{target.functions.port}"
    return f"{target.kind} {target.flavour} {target.version} on {where}"
