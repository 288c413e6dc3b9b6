"""What a search found, for a terminal and as Markdown. Returns text; only the command line prints."""

from collections.abc import Sequence
from textwrap import fill

from loadtest.report.budgets.judgement import Judgement
from loadtest.report.render import capacity_table
from loadtest.report.render.capacity_table import HEADS, TRIAL_HEADS
from loadtest.report.render.grid import grid
from loadtest.report.render.markdown import escaped
from loadtest.report.wording import plain, shortened
from loadtest.results.summary import Capacity, Summary

NARROWEST = 20
VERDICTS = {"held": "green", "broken": "red", "untold": "dim"}
TEXT_COLUMNS = ("strategy", "limited by", "first to break", "recovers", "as", "verdict", "why", "between")
WHY_LENGTH = 40


def found(summary: Summary) -> dict[str, Capacity]:
    """By arm; empty for a run that looked for none."""
    return summary.capacity if isinstance(summary.capacity, dict) else {}


def sentences(summary: Summary) -> list[str]:
    """One for each arm, and what theory says."""
    capacity = found(summary)
    told = [capacity_table.sentence(arm, one) for arm, one in capacity.items()]
    return told + [text for arm, one in capacity.items() if (text := capacity_table.theory(arm, one))]


def capacity_text(summary: Summary, width: int, color: bool) -> str:
    """The sentences, the table, the trials and the warnings; ends with a line break.

    Args:
        summary: of a search.
        width: of the terminal, in characters.
        color: whether to add escape sequences for colours.
    """
    width, capacity = max(width, NARROWEST), found(summary)
    arms = [[(plain(cell), "") for cell in row] for row in capacity_table.rows(capacity)]
    trials = [
        [(shortened(plain(cell), WHY_LENGTH), VERDICTS.get(cell, "")) for cell in row]
        for row in capacity_table.trial_rows(capacity)
    ]
    blocks = [
        "\n".join(fill(plain(text), width) for text in sentences(summary)),
        grid([(head, head not in TEXT_COLUMNS) for head in HEADS], arms, width, color),
        grid([(head, head not in TEXT_COLUMNS) for head in TRIAL_HEADS], trials, width, color),
        "\n".join(
            fill(f"warning: {plain(text)}", width, subsequent_indent="  ") for text in summary.warnings
        ),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def capacity_markdown(summary: Summary, judgements: Sequence[Judgement] = ()) -> str:
    """The same for a pull request or a job's summary, with the judged budgets."""
    capacity = found(summary)
    text = [escaped(one) for one in sentences(summary)]
    text += ["", *(f"- {escaped(judgement.line())}" for judgement in judgements)]
    for heads, rows in (
        (HEADS, capacity_table.rows(capacity)), (TRIAL_HEADS, capacity_table.trial_rows(capacity)),
    ):  # fmt: skip
        text += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        text += [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    text += ["", *(f"- warning: {escaped(one)}" for one in summary.warnings)]
    return "\n".join(text).rstrip() + "\n"
