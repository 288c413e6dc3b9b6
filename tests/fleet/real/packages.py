"""Functions in Node.js with their packages, from the registry that npm is set up for."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import missing


def installed(source: Path, folder: Path) -> Path:
    """A copy of a function's folder, with what its package.json names."""
    if shutil.which("npm") is None:
        missing("npm is not installed (Debian: apt-get install nodejs npm)")
    shutil.copytree(source, folder)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder
