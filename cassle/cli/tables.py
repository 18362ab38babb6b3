"""Verbs that turn results into tables, figures and a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from cassle.cli.execution import object_of
from cassle.core.errors import SettingsError


def collect(args: argparse.Namespace) -> None:
    """Write one tidy row per run, task, evaluated task and probe; with --jobs, also one per job."""
    from cassle.reporting.rows.collect import collect as rows_of
    from cassle.reporting.rows.frame import write_runs

    write_runs(args.out, rows_of(Path(args.results)))
    if args.jobs:
        from cassle.reporting.rows.benchmark import jobs_of, write_jobs

        write_jobs(args.jobs, jobs_of(Path(args.results)))


def study(args: argparse.Namespace) -> None:
    """Write the cells that a study's tables show."""
    from cassle.core.files import write_json

    write_json(args.out, object_of(args, "cells"))


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
    from cassle.reporting.figures.features import write_feature_figure

    write_feature_figure(args.name, args.study, args.features, Path(args.out))


def page(args: argparse.Namespace) -> None:
    """Write the report of a study as one page that needs no other file."""
    from cassle.reporting.page import write_page

    write_page(args.runs, args.study, args.jobs, args.figures, Path(args.out))


def timeline(args: argparse.Namespace) -> None:
    """Draw when each job of a study worked as PDF, SVG and PNG."""
    from cassle.reporting.timeline import write_timeline

    write_timeline(args.jobs, args.study, Path(args.out))
