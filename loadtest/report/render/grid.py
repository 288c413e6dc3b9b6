"""A table as text, for terminals and pipes."""

from collections.abc import Sequence
from io import StringIO

GAP = 2  # spaces between two columns; rich draws one of them as an invisible divider


def grid(
    heads: Sequence[tuple[str, bool]], rows: Sequence[Sequence[tuple[str, str]]], width: int, color: bool
) -> str:
    """Draws a table.

    Args:
        heads: the title of each column, and whether it is one of numbers, aligned to the right.
        rows: for each row its cells, each a text and its style in rich's words.
        width: of the terminal, in characters.
        color: whether to add escape sequences for colours.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for title, numbers in heads:
        table.add_column(title, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        # As Text, since names and errors may contain what rich would take for markup.
        table.add_row(*(Text(text, style=style) for text, style in row))
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        _environ={},
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
