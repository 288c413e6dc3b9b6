"""Files that belong to the package: beside it in a checkout, inside it in a wheel."""

from importlib import resources
from pathlib import Path

PACKAGE = Path(__file__).parent


def packaged(name: str) -> Path:
    """The checkout's own ``name`` where this package lies in one, else the wheel's copy."""
    beside = PACKAGE.parent / name
    if beside.exists() and (PACKAGE.parent / "pyproject.toml").exists():
        return beside
    return Path(str(resources.files("loadtest") / "shipped" / name))
