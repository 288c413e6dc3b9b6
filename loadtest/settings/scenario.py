"""Scenario files: those of the package, by name, and a user's own, by path."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest
from loadtest.settings.plan import Plan
from loadtest.settings.plan_options import build, options
from loadtest.settings.profiles import PROFILES


def scenario_names() -> list[str]:
    """The scenarios in the package."""
    folder = resources.files("loadtest") / "scenarios"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def read_scenario(name: str) -> dict[str, Any]:
    """A scenario of the package, by name, or of the user, by path. Raises :class:`UsageError`."""
    if name in scenario_names():
        text = (resources.files("loadtest") / "scenarios" / f"{name}.toml").read_text("utf-8")
        label = name
    else:
        path = Path(name)
        if not (path.suffix == ".toml" or "/" in name):
            known = scenario_names()
            raise UsageError(
                f"unknown scenario {name!r}{nearest(name, known)}; there are {', '.join(known)}, "
                "or a path to a .toml file of your own"
            )
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"scenario {name!r} cannot be read: {error}") from None
        label = path.stem
    try:
        return {"scenario": label, **tomllib.loads(text)}
    except ValueError as error:  # also for a number of thousands of digits
        raise UsageError(f"scenario {name!r} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"scenario {name!r} is not TOML: it is nested too deeply") from None


def plan_with(scenario: str, values: Mapping[str, Any]) -> Plan:
    """Options override the scenario, which overrides the defaults. Raises :class:`UsageError`.

    ``scenario`` is a name or a TOML file; ``values`` are by option name, such as "duration". A profile stands
    for its ``max_connections``, unless that is given in the same place, or later.
    """
    plan = build(Plan, _sized(read_scenario(scenario)), f"scenario {scenario}")
    from_file = {option.name: getattr(plan, option.field) for option in options(Plan)}
    others = {
        name: getattr(plan, name)
        for name in ("scenario", "strategies", "faults", "tags", "via", "description")
    }
    return build(Plan, {**from_file, **others, **_sized(values)}, "options")  # type: ignore[no-any-return]


def _sized(values: Mapping[str, Any]) -> dict[str, Any]:
    """With the ``max_connections`` of the profile, where ``values`` have none of their own."""
    name = values.get("profile")
    known = PROFILES.get(name) if isinstance(name, str) else None  # a wrong name is refused with the others
    if known is None or {"max_connections", "max-connections"} & values.keys():
        return dict(values)
    return {**values, "max_connections": known.max_connections}
