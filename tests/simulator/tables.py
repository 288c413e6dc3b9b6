"""Simulations side by side, as Markdown and as a picture."""

from concurrent.futures import ProcessPoolExecutor
from html import escape
from itertools import product

from tests.simulator.repetition import simulate

TIMES = "\N{MULTIPLICATION SIGN}"
STRATEGIES = ("direct", "cached", "classic", "managed", "ideal")
SECONDS = (0, 1, 3, 6, 9)
CELL_PX = (74, 22)
GOOD = ((0.999, "#1a9850"), (0.99, "#91cf60"), (0.95, "#fee08b"), (0.5, "#fc8d59"), (0.0, "#d73027"))


def outcomes(jobs, processes_count=2):
    """The outcome of each ``(strategy, world)``, in their order."""
    with ProcessPoolExecutor(processes_count) as pool:
        return list(pool.map(simulate, *zip(*jobs, strict=True)))


def table(columns, rows):
    """``rows`` of texts; the first column is words, the others are numbers."""
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def told(outcome, slo_s=1.0):
    """An outcome in a line of a table."""
    errors = ", ".join(f"{count:,} {TIMES} {name}" for name, count in outcome.errors().items()) or "0"
    by_second = " · ".join(number(outcome.p99_ms(second, second + 1)) for second in SECONDS)
    return [
        f"{outcome.good_ratio(slo_s):.1%}", errors, f"{outcome.refused_count:,}", by_second,
        number(outcome.p99_ms(3)), f"{outcome.longest_s():.1f}", f"{outcome.cpu_ratio:.0%}",
    ]  # fmt: skip


TOLD = [
    "good", "errors", "refused", f"p99 ms at {', '.join(map(str, SECONDS))} s", "p99 ms after 3 s",
    "longest s", "CPU",
]  # fmt: skip


def number(value):
    return "\N{EN DASH}" if value != value else f"{value:.0f}"


def cells(make_world, rates, works_ms, limits):
    """``{(limit, work_ms, rate): {strategy: outcome}}``, of each ``make_world(rate, work_ms, limit)``."""
    places = list(product(limits, works_ms, rates))
    jobs = [
        (strategy, make_world(rate, work_ms, limit))
        for limit, work_ms, rate in places
        for strategy in STRATEGIES
    ]
    found = iter(outcomes(jobs))
    return {place: {strategy: next(found) for strategy in STRATEGIES} for place in places}


def cell(outcomes_there, strategy):
    """``100% 1.3``: the good ratio, and p99 after the third second as a multiple of ``ideal``'s."""
    outcome, ideal = outcomes_there[strategy], outcomes_there["ideal"]
    ratio = outcome.p99_ms(3) / ideal.p99_ms(3)
    good = outcome.good_ratio()
    percent = f"{good:.0%}" if good < 0.995 or good == 1 else f"{good:.1%}"
    if ratio != ratio:
        return percent
    return f"{percent} {TIMES} {ratio:.1f}" if ratio < 10 else f"{percent} {TIMES} {ratio:,.0f}"


def map_markdown(found, rates):
    """One table, a line for each limit, work and strategy, a column for each rate."""
    rows = []
    for limit, work_ms in dict.fromkeys((limit, work_ms) for limit, work_ms, _ in found):
        for strategy in STRATEGIES:
            values = [cell(found[limit, work_ms, rate], strategy) for rate in rates]
            rows.append([f"{limit}, {work_ms:g} ms, `{strategy}`", *values])
    return table(["connections, work, strategy", *(f"{rate:,}/s" for rate in rates)], rows)


def map_svg(found, rates):
    """The good ratio of each cell as a colour."""
    width, height = CELL_PX
    groups = list(dict.fromkeys((limit, work_ms) for limit, work_ms, _ in found))
    left, top, gap = 150, 40, 14
    block = len(STRATEGIES) * height + gap
    parts = []

    def text(x, y, words, anchor="middle", size=11):
        parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'
        )

    text(left + len(rates) * width / 2, 14, "good answers, by arrivals per second", size=12)
    for column, rate in enumerate(rates):
        text(left + (column + 0.5) * width, top - 8, f"{rate:,}")
    for place, (limit, work_ms) in enumerate(groups):
        y = top + place * block
        text(4, y + 15, f"{limit} connections,", "start")
        text(4, y + 30, f"{work_ms:g} ms of work", "start")
        for row, strategy in enumerate(STRATEGIES):
            text(left - 6, y + row * height + 15, strategy, "end")
            for column, rate in enumerate(rates):
                good = found[limit, work_ms, rate][strategy].good_ratio()
                colour = next(colour for bound, colour in GOOD if good >= bound)
                x, line = left + column * width, y + row * height
                parts.append(
                    f'<rect x="{x}" y="{line}" width="{width - 2}" height="{height - 2}" fill="{colour}"/>'
                )
                text(x + width / 2 - 1, line + 14, cell(found[limit, work_ms, rate], strategy), size=10)
    total = (left + len(rates) * width + 4, top + len(groups) * block)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" '
        f'font-family="sans-serif">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
