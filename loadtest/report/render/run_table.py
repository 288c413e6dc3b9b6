"""The table of a run: its columns, lines and notes, the same in every format. Pure."""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from loadtest.report.validity import RULE
from loadtest.report.wording import code, count, number, percent, seconds, shortened
from loadtest.results.summary import (
    Arm,
    ArmFigures,
    PartFigures,
    PauseFigures,
    ProxyFigures,
    QueueFigures,
    Summary,
)

DISTURBED, INVALID = "~", "†"

Line = ArmFigures | PartFigures


class Column(NamedTuple):
    """A title, a unit and how a cell is made of the medians of a line.

    The higher ``keep``, the longer the column stays when the terminal is narrow.
    """

    title: str
    unit: str
    keep: int
    cell: Callable[[Line], str]

    @property
    def head(self) -> str:
        """Title and unit on one line."""
        return f"{self.title} {self.unit}".rstrip()


def lines(summary: Summary) -> Iterator[tuple[str, Line]]:
    """Name and medians of each arm, and below a mixed fleet those of each of its functions and tags."""
    for name, arm in summary.arms.items():
        yield name, arm.median
        parts = arm.median.by_part()
        for part, figures in parts.items():
            yield f"- {part}", figures
        for tag, figures in arm.median.by_tag().items() if parts else ():
            yield f"- {tag}", figures


def is_valid(line: Line) -> bool:
    """Whether the times of a ``line`` can be used; a part of a mixed fleet is not marked itself."""
    return isinstance(line, PartFigures) or line.valid


def _latency(statistic: str) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        value: float | None = getattr(line.latency_ms, statistic)
        marked = statistic in line.latency_ms.disturbed and value is not None
        return number(value) + (DISTURBED if marked else "")

    return cell


def _errors(line: Line) -> str:
    """The share of arrivals without an answer, and the most frequent error."""
    leading = next((name for name, n in line.errors.items() if n), None)
    return f"{percent(line.error_ratio):>6}" + (f" {shortened(code(leading), 14)}" if leading else "")


def _of_arm(figure: Callable[[ArmFigures], float | None]) -> Callable[[Line], float | None]:
    """Connections are known for a whole arm only, not for the parts of a mixed fleet."""
    return lambda line: figure(line) if isinstance(line, ArmFigures) else None


_connections_peak = _of_arm(lambda arm: arm.connections.peak_count)
_zombies_peak = _of_arm(lambda arm: arm.zombies.peak_count)
_reclaim_s = _of_arm(lambda arm: arm.zombies.reclaim_p50_s)

COLUMNS = (
    Column("arrivals", "", 7, lambda line: count(line.arrivals_count)),
    Column("good", "", 13, lambda line: percent(line.good_ratio)),
    Column("errors", "", 12, _errors),
    Column("throttled", "", 2, lambda line: count(line.throttled_count)),
    Column("mean", "ms", 11, _latency("mean")),
    Column("p50", "ms", 9, _latency("p50")),
    Column("p99", "ms", 10, _latency("p99")),
    Column("max", "ms", 4, _latency("max")),
    Column("conns", "peak", 8, lambda line: count(_connections_peak(line))),
    Column("zombies", "peak", 6, lambda line: count(_zombies_peak(line))),
    Column("reclaim", "time", 5, lambda line: seconds(_reclaim_s(line))),
    Column("extra", "stmts", 3, lambda line: number(line.overhead_queries_per_invocation)),
)

OF_REAL_FUNCTIONS = (
    Column("init", "ms", 2, lambda line: number(line.starts.init_p50_ms)),
    Column("first", "ms", 1, lambda line: number(line.starts.first_p50_ms)),
)

OF_PROXIES = (
    Column("clients", "peak", 3, lambda line: count(_of_proxy(line).clients_peak_count)),
    Column("waiting", "peak", 4, lambda line: count(_of_proxy(line).waiting_peak_count)),
    Column("pinned", "peak", 3, lambda line: count(_of_proxy(line).pinned_peak_count)),
)


OF_PAUSES = (
    Column("paused", "time", 2, lambda line: percent(_of_pause(line).paused_ratio)),
    Column("resumes", "", 2, lambda line: count(_of_pause(line).resumes_count)),
)


OF_COSTS = (
    Column("cost", "$/million", 2, lambda line: number(line.cost.million_usd)),
    Column("all", "$/month", 3, lambda line: number(_of_arm(lambda arm: arm.cost.month_usd)(line))),
)


OF_QUEUES = (
    Column("retries", "", 3, lambda line: count(_of_queue(line).retries_count)),
    Column("twice", "", 2, lambda line: count(_of_queue(line).duplicates_count)),
    Column("dead", "letters", 4, lambda line: count(_of_queue(line).dead_letters_count)),
    Column("oldest", "waited", 5, lambda line: seconds(_of_queue(line).oldest_peak_s)),
)


def _of_queue(line: Line) -> QueueFigures:
    """Without figures where there is no queue, and for a part of a fleet."""
    found = getattr(line, "queue", None)
    return found if isinstance(found, QueueFigures) else QueueFigures()


def _of_pause(line: Line) -> PauseFigures:
    """Without figures where no database pauses, and for a part of a fleet."""
    found = getattr(line, "pause", None)
    return found if isinstance(found, PauseFigures) else PauseFigures()


def _of_proxy(line: Line) -> ProxyFigures:
    """Without figures where there is no proxy, and for a part of a fleet."""
    found = getattr(line, "proxy", None)
    return found if isinstance(found, ProxyFigures) else ProxyFigures()


def columns(summary: Summary) -> tuple[Column, ...]:
    """Those that have something to say about the run."""
    shown = [line for _, line in lines(summary)]
    real = OF_REAL_FUNCTIONS if any(line.starts.count for line in shown) else ()
    proxies = tuple(column for column in OF_PROXIES if {column.cell(line) for line in shown} != {count(None)})
    pauses = OF_PAUSES if any(_of_pause(line) != PauseFigures() for line in shown) else ()
    costs = tuple(column for column in OF_COSTS if {column.cell(line) for line in shown} != {number(None)})
    queues = OF_QUEUES if any(_of_queue(line) != QueueFigures() for line in shown) else ()
    return COLUMNS + pauses + queues + proxies + real + costs


def notes(summary: Summary, shown: Collection[int] | None = None) -> list[str]:
    """What a reader has to know about the table.

    Args:
        summary: of the run.
        shown: the columns that are shown, by index; None: all.
    """
    all_lines, known = [line for _, line in lines(summary)], columns(summary)
    shown = range(len(known)) if shown is None else shown
    cells = [known[i].cell(line) for line in all_lines for i in shown if known[i].unit == "ms"]
    marks = {cell[-1:] for cell in cells} | {INVALID for line in all_lines if not is_valid(line)}
    hidden = [c.title for i, c in enumerate(known) if i not in shown]
    found = _repetitions(list(summary.arms.values()))
    if hidden:
        found.append(f"Not shown, for lack of space: {', '.join(hidden)}.")
    if any(known[i] in OF_REAL_FUNCTIONS for i in shown):
        found.append("init: the init phase of a container; first: its first invocation; both medians.")
    if any(known[i] in OF_PAUSES for i in shown):
        found.append(
            "paused: share of the time in which the database paused; resumes: how often it was woken."
        )
    if any(known[i] in OF_QUEUES for i in shown):
        found.append(
            "retries: attempts after one that failed; twice: answers after the first; dead: events that were "
            "given up; oldest: how long an event waited in the queue at most."
        )
    if any(known[i] in OF_PROXIES for i in shown):
        found.append(
            "clients: of the proxy; waiting: those of them that waited for a connection of the server; "
            "pinned: connections of the server that slept, and that one client alone could use."
        )
    if any(known[i] is OF_COSTS[0] for i in shown):
        found.append("cost: what a million invocations are billed, by the prices in run.json.")
    if any(known[i] is OF_COSTS[1] for i in shown):
        found.append(
            "all: a month of such a load: its functions, the database of the profile, and RDS Proxy if they "
            "go through a proxy."
        )
    if DISTURBED in marks:
        found.append(
            f"{DISTURBED} disturbed by the load generator: without the invocations that its stalls delayed, "
            f"this figure changes by more than {RULE.moved_ratio:.0%}, so it gets no verdict."
        )
    if INVALID in marks:
        found.append(f"{INVALID} no repetition is valid for times: see the warnings.")
    return found


def _repetitions(arms: Collection[Arm]) -> list[str]:
    counts = sorted({len(arm.repetitions) for arm in arms})
    if not counts or counts[-1] < 2:
        return []
    span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return [f"Medians of {span} repetitions."]
