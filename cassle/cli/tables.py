"""Verbs that turn results into tables, figures and a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from cassle.contracts.layout import StudyFolder
from cassle.core.errors import DataError, SettingsError


def collect(args: argparse.Namespace) -> None:
    """Write one tidy row per run, task, evaluated task and probe; with --jobs, also one per job."""
    from cassle.reporting.rows.collect import collect as rows_of
    from cassle.reporting.rows.frame import write_runs

    results = Path(args.results or Path(args.out).parent)
    rows = rows_of(results)
    if not rows:
        raise DataError(f"{results} holds no finished evaluation; run the workflow, or name another with --results")
    write_runs(args.out, rows)
    if args.jobs:
        from cassle.reporting.rows.benchmark import jobs_of, write_jobs

        write_jobs(args.jobs, jobs_of(results))


def study(args: argparse.Namespace) -> None:
    """Write the record of the tables and figures of the study whose directory --out names."""
    from cassle.contracts.plan_file import JobPlan
    from cassle.contracts.records import write_record

    write_record(args.out, JobPlan(Path(args.plan)).study(Path(args.out).parent.name))


def table(args: argparse.Namespace) -> None:
    """Write the table of a stream under a probe as Markdown, CSV, LaTeX and HTML; with --partial, all of a study."""
    if args.partial:
        from cassle.reporting.partial import write_partial
        from cassle.reporting.show import listing

        print(listing(write_partial(Path(args.partial))))
        return
    from cassle.reporting.tables.table import write_tables

    if not (args.runs and args.study and args.stream and args.probe and args.out):
        raise SettingsError("give --runs, --study, --stream, --probe and --out, or --partial FOLDER")
    write_tables(args.runs, args.study, args.stream, args.probe, Path(args.out), args.jobs)


def figure(args: argparse.Namespace) -> None:
    """Draw one figure of a study as PDF, SVG and PNG."""
    from cassle.reporting.figures import write_figure

    write_figure(args.runs, args.study, args.name, args.stream, args.probe, Path(args.out))


def feature_figure(args: argparse.Namespace) -> None:
    """Draw one figure of features as PDF, SVG and PNG."""
    from cassle.contracts.plan_file import JobPlan
    from cassle.reporting.figures.features import write_feature_figure

    out, study = Path(args.out), Path(args.study)
    root = StudyFolder.root_of(study.parent)
    files = JobPlan(Path(args.plan)).features(study.parent.name, out.parent.name)
    write_feature_figure(args.name, study, [root / file for file in files], out)


def page(args: argparse.Namespace) -> None:
    """Write the report of a study as one page that needs no other file."""
    from cassle.contracts.plan_file import JobPlan
    from cassle.reporting.page import write_page

    study = Path(args.study)
    root = StudyFolder.root_of(study.parent)
    figures = JobPlan(Path(args.plan)).figures(study.parent.name)
    write_page(args.runs, study, args.jobs, [root / figure for figure in figures], Path(args.out))


def timeline(args: argparse.Namespace) -> None:
    """Draw when each job of a study worked as PDF, SVG and PNG."""
    from cassle.reporting.timeline import write_timeline

    write_timeline(args.jobs, args.study, Path(args.out))
