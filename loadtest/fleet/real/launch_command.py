"""How the process of a function is started: its command, folder and environment."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from loadtest.errors import MissingHere, UsageError
from loadtest.fleet.real.function import Function, function_of
from loadtest.settings.strategy import Part

# Of a function's environment: what AWS sets, source: AWS Lambda developer guide, "Defined runtime
# environment variables". Nothing of ours goes there: a function is tried as it would run.
PLACES = "/usr/local/bin:/usr/bin:/bin"
REGION = "us-east-1"
IMPORT_S = 20.0
ASK = "import sys, awslambdaric; print('%d.%d' % sys.version_info[:2])"
BOOTSTRAP = Path(__file__).with_name("bootstrap.mjs")


class Launch(NamedTuple):
    """``environment`` goes over the function's own variables, and those over ``defaults``, as on AWS."""

    command: list[str]
    function: Function
    environment: dict[str, str]
    defaults: dict[str, str]

    @property
    def folder(self) -> str:
        return str(self.function.folder)

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:000000000000:function:{self.function.name}"


def launch_of(part: Part, home: str) -> Launch:
    """Of a part whose function is real; its path is relative to the folder ``home``.

    Raises :class:`UsageError` if there is no such file, and :class:`MissingHere` if there is no such runtime:
    it says what to install.
    """
    function = function_of(part, home)
    if function.runtime == "provided":
        path = function.folder / function.handler
        if not path.is_file() or not path.stat().st_mode & 0o111:
            raise UsageError(f"strategy {part.name!r}: there is no executable file {path}")
        return _launch(function, [str(path)], PLACES)
    module, _, attribute = function.handler.rpartition(".")
    if not module or not attribute:
        raise UsageError(f"strategy {part.name!r}: {function.handler} does not end in file.function")
    if function.runtime == "python":
        file = module.replace(".", "/")
        package = [f"{file}/__init__.py"] if (function.folder / file).is_dir() else []
        _see(function, [f"{file}.py", *package])
        python, version = _python(function)
        launch = _launch(function, [python, "-m", "awslambdaric", function.handler], _with(python))
        launch.environment["AWS_EXECUTION_ENV"] = f"AWS_Lambda_python{version}"
        return launch
    _see(function, [f"{module}{ending}" for ending in (".js", ".mjs", ".cjs")])
    node = shutil.which("node")
    if node is None:
        raise MissingHere(
            f"strategy {part.name!r}: Node.js is not installed (Debian: apt-get install nodejs)"
        )
    return _launch(function, [node, str(BOOTSTRAP)], _with(node))


def _launch(function: Function, command: list[str], places: str) -> Launch:
    name, folder = function.name, str(function.folder)
    defaults = {
        "PATH": places,
        "HOME": folder,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",  # on AWS what is printed goes to the log at once, too
    }
    environment = {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": name,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": folder,
        "LAMBDA_RUNTIME_DIR": folder,
        "_HANDLER": function.handler,
    }
    return Launch(command, function, environment, defaults)


def _with(program: str) -> str:
    return f"{Path(program).parent}:{PLACES}"


def _see(function: Function, names: list[str]) -> None:
    if not any((function.folder / name).is_file() for name in names):
        raise UsageError(f"strategy {function.name!r}: there is no {' or '.join(names)} in {function.folder}")


def _python(function: Function) -> tuple[str, str]:
    """The interpreter that is named, of the function's own .venv, or ours, and its version.

    It has to have AWS's client.
    """
    own = function.folder / ".venv" / "bin" / "python"
    python = function.python or (str(own) if own.exists() else sys.executable)
    try:
        tried = subprocess.run(
            [python, "-c", ASK], capture_output=True, text=True, timeout=IMPORT_S, check=False
        )
        version = tried.stdout.strip() if tried.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        version = ""
    if not version:
        raise MissingHere(
            f"strategy {function.name!r}: {python} has no awslambdaric, AWS's runtime client: "
            f"{python} -m pip install awslambdaric"
        )
    return python, version
