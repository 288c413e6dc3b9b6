"""Docstrings say what a function's arguments are, where neither its name nor its type does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "loadtest").rglob("*.py"))}
# What a reader of this field knows: statements of the DB-API, a TCP address, an exception, Locust's
# environment, and pytest's own fixtures.
KNOWN = {
    "self", "cls", "sql", "args", "cursor", "connection", "host", "port", "error", "environment",
    "pytestconfig", "tmp_path_factory", "monkeypatch",
}  # fmt: skip
UNIT = re.compile(r"_(s|ms|count|hz|per_s|bytes)$")
CLASSES = {"Path"} | {
    node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(body: list[ast.stmt], of_class: str = "") -> Iterator[tuple[Function, str]]:
    """Public functions, with what documents their arguments: also the class, for its constructor."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, ast.get_docstring(node) or "")
        elif isinstance(node, Function) and (node.name == "__init__" or not node.name.startswith("_")):
            yield node, (ast.get_docstring(node) or "") + (of_class if node.name == "__init__" else "")


def documents_itself(function: Function) -> bool:
    """A command's docstring is its help, and its arguments are options with a help of their own."""
    return any(re.search(r"\.command\b|\boverload\b", ast.unparse(d)) for d in function.decorator_list)


def unsaid(function: Function, docstring: str) -> Iterator[str]:
    given = function.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
        name, types = argument.arg, re.findall(r"\w+", ast.unparse(argument.annotation or ast.Tuple([])))
        says_it_itself = name in KNOWN or UNIT.search(name) or CLASSES.intersection(types)
        if not says_it_itself and not name.startswith("_") and not re.search(rf"\b{name}\b", docstring):
            yield name


def missing() -> Iterator[str]:
    for path, tree in TREES.items():
        name = str(path.relative_to(ROOT))
        for function, docstring in public(tree.body):
            for argument in [] if documents_itself(function) else unsaid(function, docstring):
                yield f"{name}:{function.lineno} {function.name} {argument}"


def test_a_docstring_says_what_each_argument_is_that_does_not_say_so_itself():
    assert list(missing()) == []
