"""Tags of functions: ``--tag [PART:]key=value``, and what a SAM template says. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest
from loadtest.settings.strategy import parse

# Lengths as AWS has them: AWS Lambda developer guide, "Using tags on Lambda functions".
TAG = re.compile(
    r"(?:(?P<part>[A-Za-z0-9._@-]+):)?(?P<key>[^=:\x00-\x1f]{1,128})=(?P<value>[^\x00-\x1f]{0,256})"
)


class Tag(NamedTuple):
    """``part`` is the name of a function, "" for all of them."""

    part: str
    key: str
    value: str


def tags_in(texts: Iterable[str], strategies: Sequence[str]) -> list[Tag]:
    """The tags of ``texts``, values of ``--tag``, for the functions of ``strategies``.

    Raises :class:`UsageError`, also for a part that no strategy has.
    """
    parts = [part.name for text in strategies for part in parse(text)]
    found = []
    for text in texts:
        match = TAG.fullmatch(text)
        if match is None:
            raise UsageError(
                f"tag {text!r}: write key=value, or part:key=value for one function, with at most 128 "
                "characters in the key and 256 in the value"
            )
        tag = Tag(match["part"] or "", match["key"], match["value"])
        if tag.part and tag.part not in parts:
            raise UsageError(
                f"tag {text!r}: no function is called {tag.part!r}{nearest(tag.part, parts)}; there are "
                f"{', '.join(dict.fromkeys(parts))}"
            )
        found.append(tag)
    return found


def tags_alone(strategy: str, texts: Iterable[str]) -> list[str]:
    """Those of the tags ``texts`` that a run of ``strategy`` alone has."""
    known = {"", *(part.name for part in parse(strategy))}
    found = [(text, TAG.fullmatch(text)) for text in texts]
    return [text for text, match in found if match and (match["part"] or "") in known]


def parts_of_tags(
    strategy: str, given: Iterable[Tag], described: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Which functions of ``strategy`` have each tag, by ``key=value``.

    ``described`` are the tags that a function's own files give it, by its name; ``given`` ones go before.
    """
    found: dict[str, list[str]] = {}
    given = list(given)
    for part in parse(strategy):
        tags = {str(key): str(value) for key, value in described.get(part.name, {}).items()}
        tags |= {tag.key: tag.value for tag in given if not tag.part}
        tags |= {tag.key: tag.value for tag in given if tag.part == part.name}
        for key, value in tags.items():
            found.setdefault(f"{key}={value}", []).append(part.name)
    return found
