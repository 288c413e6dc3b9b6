"""Everything that is derived from a run's rows, written beside them."""

from collections.abc import Callable
from typing import Any

from loadtest.report.budget import Outcome
from loadtest.report.recompute import summarise_run, warmup_s_of
from loadtest.report.render.document import markdown, run_junit
from loadtest.report.series import Series
from loadtest.results.files import write_json, write_text
from loadtest.results.run_folder import RunFolder

Judge = Callable[[dict[str, Any]], list[Outcome]]


def write_report(folder: RunFolder, judge: Judge = lambda _: []) -> tuple[dict[str, Any], list[Outcome]]:
    """Writes ``summary.json``, ``report.html``, ``report.md``, ``junit.xml``; the summary, and its budgets.

    Raises :class:`NothingMeasured`, :class:`UsageError`, :class:`ResultsError`; then nothing is half-written.
    """
    from loadtest.report.render.page import run_page

    run = folder.read_run()
    series = Series(warmup_s_of(run))
    summary = summarise_run(folder, look=series.look)
    outcomes = judge(summary)
    page = run_page(summary, series.arms, run, outcomes)
    write_json(folder.summary, summary)
    write_text(folder.report_html, page)
    write_text(folder.report_md, markdown(summary, outcomes))
    write_text(folder.junit, run_junit(summary, outcomes))
    return summary, outcomes
