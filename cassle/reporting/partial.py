"""Tables, figures and report of a study from whatever runs there are, while the rest is still to come."""

from __future__ import annotations

import os
from pathlib import Path

from cassle.contracts.layout import STUDY, StudyFolder
from cassle.contracts.summary import read_summary
from cassle.core.errors import CassleError
from cassle.reporting.figures import figures, write_figure
from cassle.reporting.page import write_page
from cassle.reporting.rows.benchmark import jobs_of, write_jobs
from cassle.reporting.rows.collect import collect
from cassle.reporting.rows.frame import write_runs
from cassle.reporting.tables.table import write_tables
from cassle.reporting.timeline import write_timeline


def write_partial(folder: Path) -> Path:
    """Write everything that a study shows into ``partial`` in its folder, and return that; missing runs are marked.

    ``folder``: such as results/studies/digits. What the workflow has written there is neither read nor touched.
    Raises `CassleError` if no run of the study was started, or if the folder is not one of a study beside its results.
    """
    study = folder / STUDY
    if Path(os.path.abspath(folder)).parent.name != "studies":
        raise CassleError(
            f"{folder} is no folder of a study: give one such as results/studies/digits, as it lies there"
        )
    if not study.is_file():
        raise CassleError(f"nothing is known of {folder}: start the study once, its first job writes {study}")
    summary, results, out = read_summary(study), StudyFolder.results_of(folder), folder / "partial"
    runs, jobs = out / "runs.csv", out / "benchmark.csv"
    write_runs(runs, collect(results))
    write_jobs(jobs, jobs_of(results))
    drawn: list[Path] = []
    first: dict[str, str] = {}
    for stream, probe in summary.tables():
        write_tables(runs, study, stream, probe, out / "tables" / stream / f"{probe}.md", jobs)
        first.setdefault(stream, probe)
    for stream, probe in first.items():
        for name in figures.names():
            drawn.append(out / "figures" / stream / probe / f"{name}.pdf")
            write_figure(runs, study, name, stream, probe, drawn[-1])
    drawn.append(out / "timeline.pdf")
    write_timeline(jobs, study, drawn[-1])
    write_page(runs, study, jobs, drawn, out / "report.html", results)
    return out
