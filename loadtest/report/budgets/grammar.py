"""The grammar of budgets such as ``managed.latency_ms.p99 <= 3 * ideal.latency_ms.p99``. Pure.

::

    budget     = sum comparison sum
    comparison = "<=" | "<" | ">=" | ">" | "==" | "!="
    sum        = product { ("+" | "-") product }
    product    = factor { ("*" | "/") factor }
    factor     = number [ "%" ] | path | "(" sum ")" | "-" factor
    path       = [ "baseline" "." ] arm "." field { "." field }

A name with characters other than letters, digits and ``_`` is put in double quotes, as in
``shop.errors."http 503"``. A path reads the arm's median in ``summary.json``; ``errors.1040`` is the number
of errors with that code.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import eq, ge, gt, le, lt, ne

from loadtest.errors import UsageError

BASELINE = "baseline"
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": le, ">=": ge, "==": eq, "!=": ne, "<": lt, ">": gt,
}  # fmt: skip
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?P<percent>\s*%)?"
    r"|(?P<name>[A-Za-z_]\w*)|\"(?P<quoted>[^\"]*)\"|(?P<sign><=|>=|==|!=|[<>+\-*/().]))"
)
LONGEST = 300  # tokens: signs, numbers and names
DEEPEST = 50  # levels of parentheses: no budget needs more, and Python's stack is limited


@dataclass(frozen=True)
class Number:
    """A literal; percentages are divided by 100."""

    value: float


@dataclass(frozen=True)
class Path:
    """A figure of an arm of this run, or of the baseline. In an objective ``arm`` is empty: any."""

    arm: str
    fields: tuple[str, ...]
    of_baseline: bool = False

    def __str__(self) -> str:
        parts = [self.arm, *self.fields] if self.arm else self.fields
        names = [name if re.fullmatch(r"\w+", name) else f'"{name}"' for name in parts]
        return ".".join((*([BASELINE] if self.of_baseline else []), *names))


@dataclass(frozen=True)
class Operation:
    """``+``, ``-``, ``*`` or ``/`` between two nodes."""

    sign: str
    left: "Node"
    right: "Node"


Node = Number | Path | Operation


@dataclass(frozen=True)
class Budget:
    """A comparison of two sides; ``text`` is what the user wrote."""

    text: str
    left: Node
    comparison: str
    right: Node

    def of(self, arm: str) -> "Budget":
        """A condition of an objective as a budget of ``arm``."""
        return replace(self, left=_of(self.left, arm), right=_of(self.right, arm))

    def paths(self) -> Iterator[Path]:
        """All figures that it reads."""
        yield from _paths(self.left)
        yield from _paths(self.right)


def _of(node: Node, arm: str) -> Node:
    if isinstance(node, Operation):
        return replace(node, left=_of(node.left, arm), right=_of(node.right, arm))
    return replace(node, arm=arm) if isinstance(node, Path) else node


def _paths(node: Node) -> Iterator[Path]:
    if isinstance(node, Path):
        yield node
    if isinstance(node, Operation):
        yield from _paths(node.left)
        yield from _paths(node.right)


def parse(text: str) -> Budget:
    """Parses ``text``, such as ``managed.latency_ms.p99 <= 3 * ideal.latency_ms.p99``.

    Raises :class:`UsageError` for one that makes no sense; it says where, and what was expected there.
    """
    return _Parser(text).budget()


def parse_objective(text: str) -> tuple[Budget, ...]:
    """Parses conditions on any arm, such as ``error_ratio == 0 and latency_ms.p99 <= 100``.

    Each of them is one of the parts of ``text`` that ``and`` joins. Raises :class:`UsageError`.
    """
    return tuple(_Parser(part, of_arm=False).budget() for part in re.split(r"\band\b", text))


class _Parser:
    def __init__(self, text: str, *, of_arm: bool = True) -> None:
        self._text = text
        self._of_arm = of_arm
        self._tokens: list[re.Match[str]] = []
        at = 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if match is None:
                self._at = len(self._tokens)
                raise self._wrong(text[at:].split()[0])
            self._tokens.append(match)
            at = match.end()
            if len(self._tokens) > LONGEST:
                raise UsageError(f"a budget has at most {LONGEST} signs, numbers and names")
        self._at = 0
        self._depth = 0

    def budget(self) -> Budget:
        left = self._sum()
        sign = self._sign()
        if sign not in COMPARISONS:
            raise self._wrong(sign, f"one of {' '.join(COMPARISONS)}")
        self._at += 1
        right = self._sum()
        if self._at < len(self._tokens):
            raise self._wrong(self._tokens[self._at][0])
        return Budget(self._text.strip(), left, sign, right)

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/"), self._factor)

    def _chain(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        node = part()
        while (sign := self._sign()) in signs:
            self._at += 1
            node = Operation(sign, node, part())
        return node

    def _factor(self) -> Node:
        token = self._token()
        if token is None:
            raise self._wrong("", "a number or an arm's figure")
        self._at += 1
        if token["number"]:
            return Number(float(token["number"]) / (100 if token["percent"] else 1))
        if token["name"] or token["quoted"] is not None:
            return self._path(token["name"] or token["quoted"])
        if token["sign"] in ("-", "("):
            return self._nested(token["sign"])
        self._at -= 1
        raise self._wrong(token[0], "a number or an arm's figure")

    def _nested(self, sign: str) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(sign, f"at most {DEEPEST} levels")
        node: Node = Operation("-", Number(0.0), self._factor()) if sign == "-" else self._sum()
        self._depth -= 1
        if sign == "(":
            if self._sign() != ")":
                raise self._wrong(self._sign(), ")")
            self._at += 1
        return node

    def _path(self, first: str) -> Path:
        names = [first]
        while (token := self._token()) is not None:
            if (token["number"] or "").startswith("."):  # the code of an error: .1040
                names.append(token["number"][1:])
            elif token["sign"] == ".":
                self._at += 1
                token = self._token()
                name = token and (token["name"] or token["quoted"])
                if not name:
                    raise self._wrong(token[0] if token else "", "a field")
                names.append(name)
            else:
                break
            self._at += 1
        if not self._of_arm:
            return Path("", tuple(names))
        of_baseline = names[0] == BASELINE and len(names) > 2
        arm, *fields = names[1:] if of_baseline else names
        if not fields:
            raise self._wrong("", f"a field of {arm}, as in {arm}.error_ratio")
        return Path(arm, tuple(fields), of_baseline)

    def _token(self) -> "re.Match[str] | None":
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _sign(self) -> str:
        token = self._token()
        return (token["sign"] or "") if token else ""

    def _wrong(self, found: str, expected: str = "") -> UsageError:
        where = f"at {found.strip()!r}" if found.strip() else "at its end"
        wanted = f"; expected {expected}" if expected else ""
        return UsageError(f"budget {self._text.strip()!r} makes no sense {where}{wanted}")
