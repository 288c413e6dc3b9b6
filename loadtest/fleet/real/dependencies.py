"""Whether the packages that a real function names are here: its package.json's, its requirements.txt's.

Here they are only looked for. What npm can install, a bench installs before it starts.
"""

import json
import re
import subprocess
from pathlib import Path

from loadtest.errors import MissingHere, UsageError
from loadtest.fleet.real.launch_command import BOOTSTRAP, IMPORT_S, Launch, launch_of
from loadtest.settings.strategy import Part

# The name at the start of a requirement, source: PEP 508; not the start of a path, an address or an option.
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?=[\[(<>=!~@]|--|$)")
FILES = (".whl", ".zip", ".gz")
OTHERS_LOCKS = {"yarn.lock": "yarn", "pnpm-lock.yaml": "pnpm"}
NPMS_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
LOOK_FOR = """
import sys
from importlib import metadata
for name in sys.argv[1:]:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        print(name)
"""


def ready_launch(part: Part, home: str) -> Launch:
    """As :func:`launch_of`, of a function whose packages are here, too.

    Args:
        part: names the function.
        home: the folder that its path is relative to.

    Raises:
        MissingHere: packages or a runtime are missing on this machine.
        UsageError: whatever else :func:`launch_of` raises; a file that names packages cannot be read.
    """
    launch = launch_of(part, home)
    if launch.command[-1] == str(BOOTSTRAP):
        _check_node(part.name, launch)
    elif "awslambdaric" in launch.command:
        _check_python(part.name, launch)
    return launch


def _folders(launch: Launch) -> list[Path]:
    """From that of the handler's file up to the function's own."""
    root = Path(launch.folder)
    inner = Path(root, launch.function.handler).parent
    return [folder for folder in (inner, *inner.parents) if folder == root or root in folder.parents]


def _check_node(name: str, launch: Launch) -> None:
    for folder in _folders(launch):
        wanted = _dependencies(name, folder / "package.json")
        # As Node.js looks for them, so that those of a workspace are found above it.
        missing = [
            package
            for package in wanted
            if not any((at / "node_modules" / package).is_dir() for at in (folder, *folder.parents))
        ]
        if missing:
            raise _node_packages(name, folder, missing)
        if wanted:
            return


def _node_packages(name: str, folder: Path, missing: list[str]) -> MissingHere:
    lacks = f"strategy {name!r}: {folder} lacks {', '.join(missing)}"
    if not any((folder / lock).exists() for lock in NPMS_LOCKS):
        for lock, tool in OTHERS_LOCKS.items():
            if (folder / lock).exists():
                return MissingHere(f"{lacks}: run {tool} install there")
    return MissingHere(f"{lacks}: run npm install there", str(folder), missing)


def _dependencies(name: str, manifest: Path) -> list[str]:
    """What a package.json cannot do without; nothing where there is none."""
    if not manifest.is_file():
        return []
    try:
        values = json.loads(manifest.read_text("utf-8"))
        needed, optional = (values.get(key, {}) for key in ("dependencies", "optionalDependencies"))
        return sorted(needed.keys() - optional.keys())
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"strategy {name!r}: {manifest} cannot be read: {error}") from None


def _check_python(name: str, launch: Launch) -> None:
    path = Path(launch.folder, "requirements.txt")
    wanted = _requirements(name, path)
    if not wanted:
        return
    python = launch.command[0]
    try:
        # As the function runs, with what was installed into its own folder.
        looked = subprocess.run(
            [python, "-c", LOOK_FOR, *wanted],
            cwd=launch.folder,
            env={**launch.defaults, **launch.environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingHere(f"strategy {name!r}: {python} does not say what it has: {error}") from None
    if looked.returncode:
        said = (looked.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MissingHere(f"strategy {name!r}: {python} does not say what it has: {said}")
    missing = looked.stdout.split()
    if missing:
        raise MissingHere(
            f"strategy {name!r}: {python} lacks {', '.join(missing)}: {python} -m pip install -r {path}"
        )


def _requirements(name: str, path: Path) -> list[str]:
    """The distributions that a requirements.txt names, without those that depend on a marker."""
    if not path.is_file():
        return []
    try:
        text = path.read_text("utf-8-sig").replace("\\\n", " ")
    except (OSError, ValueError) as error:
        raise UsageError(f"strategy {name!r}: {path} cannot be read: {error}") from None
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    found = [REQUIREMENT.match(line) for line in lines if ";" not in line and not line.endswith(FILES)]
    return [match["name"] for match in found if match]
