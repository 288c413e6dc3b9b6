"""Everything that is made of a run's rows, written beside them."""

from collections.abc import Callable

from loadtest.report.budgets.judgement import Judgement
from loadtest.report.render.junit import run_junit
from loadtest.report.render.markdown import run_markdown
from loadtest.report.run_summary import summarise_run, warmup_s_of
from loadtest.report.series import Series
from loadtest.results.files import write_json, write_text
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import Summary, as_json

Judge = Callable[[Summary], list[Judgement]]


def write_report(folder: RunFolder, judge: Judge = lambda _: []) -> tuple[Summary, list[Judgement]]:
    """Writes ``summary.json``, ``report.html``, ``report.md`` and ``junit.xml``.

    Args:
        folder: the run.
        judge: judges the budgets by the summary.

    Returns:
        The summary, and the judged budgets.

    Raises:
        NothingMeasured: the run has not a single arrival.
        UsageError: ``run.json`` or a budget cannot be used. Nothing has been written.
        ResultsError: a file cannot be written; it is not there half.
    """
    from loadtest.report.render.page import run_page

    run = folder.read_run()
    series = Series(warmup_s_of(run))
    summary = summarise_run(folder, collect=series.add)
    judgements = judge(summary)
    page = run_page(summary, series.arms, run, judgements)
    write_json(folder.summary, as_json(summary))
    write_text(folder.report_html, page)
    write_text(folder.report_md, run_markdown(summary, judgements))
    write_text(folder.junit, run_junit(summary, judgements))
    return summary, judgements


def write_search(folder: RunFolder, judge: Judge = lambda _: []) -> tuple[Summary, list[Judgement]]:
    """The same of a search for the capacity: arguments, result and errors as :func:`write_report` has them.

    ``folder`` is its run, ``judge`` judges the budgets.
    """
    from loadtest.report.capacities.reading import summarise_search
    from loadtest.report.render.capacity_page import capacity_page
    from loadtest.report.render.capacity_text import capacity_markdown

    summary = summarise_search(folder)
    judgements = judge(summary)
    page = capacity_page(summary, folder.read_run(), judgements)
    write_json(folder.summary, as_json(summary))
    write_text(folder.report_html, page)
    write_text(folder.report_md, capacity_markdown(summary, judgements))
    write_text(folder.junit, run_junit(summary, judgements))
    return summary, judgements
