"""What an AWS SAM template says of one function.

Source: AWS SAM developer guide, "AWS::Serverless::Function" and "Globals section of the AWS SAM template";
AWS CloudFormation user guide, "Intrinsic function reference".
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest

TYPE = "AWS::Serverless::Function"
LARGEST = 1_000_000  # of a number: far more than AWS takes
TIMEOUT_S = 3.0  # where a template says nothing
PSEUDO = {
    "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000", "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}  # fmt: skip
IN_SUB = re.compile(r"\$\{([^!][^}]*)\}")
FAMILIES = {"python": "python", "nodejs": "node", "provided": "provided"}


# What PyYAML's constructors raise of a number or a date that is none.
ITS_CONSTRUCTORS = (ValueError, LookupError, AttributeError, TypeError, OverflowError)


class Described(Struct, frozen=True):
    """A function as far as a path or a template describes it; "" and None are unknown.

    ``unresolved``: variables of the environment whose values only AWS knows, and what they are there.
    """

    runtime: str
    folder: Path
    handler: str
    environment: dict[str, str] = field(default_factory=dict)
    memory_mb: int | None = None
    timeout_s: float | None = None
    unresolved: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Intrinsic(NamedTuple):
    """``!Ref DbHost`` or ``Fn::GetAtt: [Db, Endpoint]``, not resolved."""

    name: str  # without Fn::
    argument: Any

    def __str__(self) -> str:
        argument = ".".join(map(str, self.argument)) if isinstance(self.argument, list) else self.argument
        return f"!{self.name} {argument}"


def described_in(file: Path, resource: str, where: str) -> Described:
    """The function ``resource`` of the template ``file``; ``where`` begins messages.

    Raises :class:`UsageError` if it is not there, or if what starts it cannot be known or run here.
    """
    template = _read(file, where)
    found = _function(template, resource, f"{where}: {file}")
    where = f"{where}: {resource} in {file}"
    defaults = _mapping(_mapping(template.get("Globals")).get("Function"))
    properties = {**defaults, **_mapping(found.get("Properties"))}
    values = _values(template)
    if properties.get("PackageType") == "Image" or "InlineCode" in properties:
        raise UsageError(f"{where} has no folder with its code: images and inline code cannot be run here")

    def stated(name: str, default: Any) -> Any:
        value = _resolved(properties.get(name, default), values)
        if isinstance(value, Intrinsic):
            raise UsageError(f"{where}: {name} is {value}, which only AWS knows: write its value there")
        return value

    runtime = str(stated("Runtime", ""))
    family = next((ours for theirs, ours in FAMILIES.items() if runtime.startswith(theirs)), "")
    if not family:
        raise UsageError(f"{where} has the runtime {runtime!r}; here run {', '.join(FAMILIES)} only")
    code = stated("CodeUri", ".")
    folder = file  # which is no folder
    if isinstance(code, str) and "\0" not in code:
        folder = (file.parent / code).resolve()
    if not folder.is_dir():
        raise UsageError(f"{where}: CodeUri {code!r} is no folder here; for built code name the template of "
                         ".aws-sam/build")  # fmt: skip
    environment, unresolved = _environment(defaults, _mapping(found.get("Properties")), values)
    return Described(
        family,
        folder,
        "bootstrap" if family == "provided" else str(stated("Handler", "")),
        environment,
        _number(stated("MemorySize", 128), "MemorySize", where),
        float(_number(stated("Timeout", TIMEOUT_S), "Timeout", where)),
        unresolved,
        _tags(defaults, _mapping(found.get("Properties")), values),
    )


def _read(file: Path, where: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise UsageError(f"{where}: templates need PyYAML: pip install PyYAML") from None

    class Loader(yaml.SafeLoader):
        """YAML with CloudFormation's short forms."""

    def short_form(loader: Any, suffix: str, node: Any) -> Intrinsic:
        if isinstance(node, yaml.ScalarNode):
            return Intrinsic(suffix, loader.construct_scalar(node))
        if isinstance(node, yaml.SequenceNode):
            return Intrinsic(suffix, loader.construct_sequence(node, deep=True))
        return Intrinsic(suffix, loader.construct_mapping(node, deep=True))

    Loader.add_multi_constructor("!", short_form)
    try:
        template = yaml.load(file.read_text("utf-8"), Loader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: {file} cannot be read: {error}") from None
    except (yaml.YAMLError, RecursionError, *ITS_CONSTRUCTORS) as error:
        raise UsageError(f"{where}: {file} is not YAML: {' '.join(str(error).split())}") from None
    return _mapping(template)


def _function(template: dict[str, Any], resource: str, where: str) -> dict[str, Any]:
    resources = _mapping(template.get("Resources"))
    names = [name for name, one in resources.items() if _mapping(one).get("Type") == TYPE]
    if resource not in names:
        known = f"it has {', '.join(map(str, names))}" if names else "it has none"
        hint = nearest(resource, map(str, names))
        raise UsageError(f"{where} has no function {resource!r} of type {TYPE}{hint}; {known}")
    return _mapping(resources[resource])


def _environment(
    defaults: dict[str, Any], properties: dict[str, Any], values: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The variables whose values are known, and what the others are."""
    known, unknown = {}, {}
    both = [_mapping(_mapping(of.get("Environment")).get("Variables")) for of in (defaults, properties)]
    for name, written in {**both[0], **both[1]}.items():
        value = _resolved(written, values)
        if isinstance(value, bool):
            known[str(name)] = str(value).lower()
        elif isinstance(value, str | int | float):
            known[str(name)] = str(value).replace("$", "$$")
        else:
            unknown[str(name)] = str(value)
    return known, unknown


def _tags(defaults: dict[str, Any], properties: dict[str, Any], values: dict[str, str]) -> dict[str, str]:
    """Those whose values are known: nothing depends on the others."""
    written = {**_mapping(defaults.get("Tags")), **_mapping(properties.get("Tags"))}
    resolved = {str(key): _resolved(value, values) for key, value in written.items()}
    return {
        key: str(value)
        for key, value in resolved.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


def _values(template: dict[str, Any]) -> dict[str, str]:
    """What a Ref may name: the parameters that have a default, and AWS's own."""
    parameters = _mapping(template.get("Parameters"))
    given = {name: _mapping(one)["Default"] for name, one in parameters.items() if "Default" in _mapping(one)}
    return {**PSEUDO, **{str(name): str(value) for name, value in given.items()}}


def _resolved(written: Any, values: dict[str, str]) -> Any:
    """The value of a property, or its :class:`Intrinsic` if only AWS knows that."""
    if isinstance(written, dict) and len(written) == 1:
        ((key, argument),) = written.items()
        if str(key) == "Ref" or str(key).startswith("Fn::"):
            written = Intrinsic(str(key).removeprefix("Fn::"), argument)
    if not isinstance(written, Intrinsic):
        return written
    if written.name == "Ref":
        return values.get(str(written.argument), written)
    text = written.argument
    if (
        written.name == "Sub"
        and isinstance(text, str)
        and all(name in values for name in IN_SUB.findall(text))
    ):
        return IN_SUB.sub(lambda match: values[match[1]], text).replace("${!", "${")
    return written


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, name: str, where: str) -> int:
    number = 0
    if not isinstance(value, bool) and (isinstance(value, int) or str(value).endswith(".0")):
        number = int(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        number = int(value)
    if not 1 <= number <= LARGEST:
        raise UsageError(f"{where}: {name} cannot be {repr(value)[:40]}: expected a whole number from 1")
    return number
