"""The rooms of the package and who imports whom, as text: ``python -m tests.rooms``.

docs/architecture.md shows what this prints, and tests/test_imports.py holds it to that.
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "loadtest"
FLOOR = ("dsn", "errors", "open_files", "packaged", "remote", "results", "settings", "ways")
WIDTH = 76


def rooms() -> dict[str, set[str]]:
    """Each folder but the floor's, with those that its modules import, also in functions and for types."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        if room.endswith(".py") or room in FLOOR:
            continue
        known = found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("loadtest."):
                known.add(str(node.module).split(".")[1])
    return {room: known & (found.keys() - {room}) for room, known in found.items()}


def picture() -> str:
    """Rooms from the top down: each imports rooms below it only."""
    graph = rooms()
    order = list(TopologicalSorter(graph).static_order())
    depth: dict[str, int] = {}
    for room in order:
        depth[room] = 1 + max((depth[below] for below in graph[room]), default=0)
    lines = []
    for level in range(max(depth.values()), 0, -1):
        for room in sorted(room for room in order if depth[room] == level):
            lines.append(f"  {room:<9} imports  {', '.join(sorted(graph[room])) or 'no other room'}")
    floor = f"the floor, which all but manager import: {', '.join(FLOOR)}"
    return "\n".join(["cli, pytest_plugin", *lines, "-" * len(floor), floor])


if __name__ == "__main__":
    print(picture())
