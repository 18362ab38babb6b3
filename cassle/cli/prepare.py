"""Verbs that prepare a dataset and split it into tasks."""

from __future__ import annotations

import argparse
from pathlib import Path

from cassle.cli.execution import available_cores, object_of, site_of
from cassle.core.errors import SettingsError


def prepare(args: argparse.Namespace) -> None:
    """Check a dataset once, write its index, and what was found as prepare.md beside it."""
    from cassle.core.files import write_text
    from cassle.data.base import datasets, write_index
    from cassle.data.report import describe_index

    site = site_of(args)
    settings = {**site.data.get(args.dataset, {}), **object_of(args, "settings")}
    index = datasets.get(args.dataset)(**settings).index(site.root, args.cores or available_cores())
    write_text(Path(args.out).with_name("prepare.md"), describe_index(index))
    write_index(args.out, index)
    print(index.notes or "nothing odd was found")


def split(args: argparse.Namespace) -> None:
    """Split a dataset into the tasks of a stream, and describe them in a table beside the split."""
    from cassle.core.files import write_text
    from cassle.core.options import parse
    from cassle.data.base import read_index
    from cassle.data.splits import check_tasks, describe, write_split
    from cassle.data.splits import split as split_stream
    from cassle.data.streams import Stream

    site = site_of(args)
    if not (args.spec or args.stream):
        raise SettingsError("give --stream NAME, such as digits-domain6, or --spec")
    stream = parse(Stream, object_of(args, "spec"), "--spec") if args.spec else Stream.parse(args.stream, site.data)
    made = split_stream(stream, read_index(args.index))
    check_tasks(made)
    write_text(Path(args.out).with_suffix(".md"), describe(made))
    write_split(args.out, made)
