"""Everything that is derived from a run's rows, written beside them."""

from typing import Any

from loadtest.report.recompute import summarise_run
from loadtest.report.render.document import markdown, run_junit
from loadtest.report.series import Series
from loadtest.store import RunFolder, write_json, write_text


def write_report(folder: RunFolder) -> dict[str, Any]:
    """Writes ``summary.json``, ``report.html``, ``report.md`` and ``junit.xml``; returns the summary.

    Raises :class:`NothingMeasured`, :class:`UsageError`, :class:`ResultsError`; then nothing is half-written.
    """
    from loadtest.report.render.page import run_page

    run = folder.read_run()
    settings = run.get("settings")
    warmup_s = settings.get("warmup_s", 0.0) if isinstance(settings, dict) else 0.0
    series = Series(warmup_s)
    summary = summarise_run(folder, look=series.look)
    page = run_page(summary, series.arms, run)
    write_json(folder.summary, summary)
    write_text(folder.report_html, page)
    write_text(folder.report_md, markdown(summary))
    write_text(folder.junit, run_junit(summary))
    return summary
