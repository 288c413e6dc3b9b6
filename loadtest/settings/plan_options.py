"""The fields of a plan as options, and a plan made of what a user writes, checked once."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from loadtest.errors import UsageError
from loadtest.settings.durations import duration_s, duration_text
from loadtest.settings.load_shape import STEADY
from loadtest.settings.nearest import nearest
from loadtest.settings.plan import Settings
from loadtest.settings.plan_checks import SHOWN_LENGTH, check_together

NUMBERS: dict[str, tuple[type, str]] = {"int": (int, "a whole number"), "float": (float, "a number")}


class Option(msgspec.Struct, frozen=True):
    """A field as an option. ``kind`` is float, int, str or duration."""

    field: str
    name: str  # with underscores; a duration without its _s
    kind: str
    choices: tuple[str, ...]
    default: Any
    group: str
    help: str

    @property
    def flag(self) -> str:
        """``--cold-start-ms``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """The placeholder of its value in help."""
        return "|".join(self.choices) or {"float": "NUMBER", "int": "N"}.get(self.kind, self.kind.upper())

    def text(self, value: Any) -> str:
        """A value as it is written on a command line."""
        return duration_text(value) if self.kind == "duration" else str(value)

    def number(self, text: str) -> Any:
        """``text`` as a number, if the option takes one. Durations and choices are checked later.

        Raises :class:`UsageError`.
        """
        if self.kind not in NUMBERS:
            return text.strip()
        kind, words = NUMBERS[self.kind]
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{self.name} cannot be {text!r}: expected {words}") from None


def options(of: type[Settings] = Settings) -> Iterator[Option]:
    """The fields that are options."""
    for field in msgspec.structs.fields(of):
        meta = _metas(field.type)
        group = next((m.extra["group"] for m in meta if m.extra), None)
        if group is None:
            continue
        bare = _bare(field.type)
        choices = get_args(bare) if get_origin(bare) is Literal else ()
        duration = bare is float and field.name.endswith("_s")
        yield Option(
            field=field.name,
            name=field.name.removesuffix("_s") if duration else field.name,
            kind="duration" if duration else "str" if choices else bare.__name__,
            choices=choices,
            default=field.default,
            group=group,
            help=next(m.description for m in meta if m.description),
        )


def _metas(annotation: Any) -> list[Meta]:
    return [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Meta)]


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def build(of: type, values: Mapping[str, Any], source: str) -> Any:
    """A ``Settings`` or ``Plan`` from option names and raw values. Raises :class:`UsageError`.

    ``of`` is one of these two types, ``source`` what messages name as the place of ``values``.
    """
    known = {option.name: option for option in options(of)}
    others = {f.name for f in msgspec.structs.fields(of)} - {o.field for o in known.values()}
    fields: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in others:
            fields[name] = value
        elif name in known:
            fields[known[name].field] = _raw(known[name], value, source)
        else:
            raise UsageError(f"{source}: unknown option {key!r}{nearest(name, [*known, *others])}")
    if fields.get("shape") == STEADY:
        fields["shape"] = ""
    try:
        built: Any = msgspec.convert(fields, of, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: {_readable(str(error), fields)}") from None
    check_together(built, source)
    return built


def _raw(option: Option, value: Any, source: str) -> Any:
    if option.choices and value not in option.choices:
        close = nearest(str(value), option.choices)
        raise UsageError(
            f"{source}: {option.name.replace('_', '-')} cannot be {value!r}{close}; "
            f"take {' or '.join(option.choices)}"
        )
    if option.kind != "duration":
        return value
    try:
        return duration_s(value)
    except UsageError as error:
        raise UsageError(f"{source}: {option.name.replace('_', '-')}: {error}") from None


def _readable(message: str, fields: Mapping[str, Any]) -> str:
    """msgspec's message in plain words."""
    text, _, where = message.partition(" - at `$.")
    field = where.rstrip("`")
    for theirs, ours in (("`float`", "a number"), ("`int`", "a whole number"), (".0", ""), ("E", "e")):
        text = text.replace(theirs, ours)
    if field not in fields:  # inside a list, or a whole file that is wrong
        return f"{field}: {text}" if field else text
    value = repr(fields[field])
    value = value if len(value) <= SHOWN_LENGTH else f"{value[:SHOWN_LENGTH]}…"
    return f"{field.removesuffix('_s').replace('_', '-')} cannot be {value}: {text}"
