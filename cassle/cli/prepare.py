"""Verbs that prepare a dataset and split it into tasks."""

from __future__ import annotations

import argparse
from pathlib import Path

from cassle.cli.execution import available_cores, object_of, prepare_site, site_of
from cassle.core.errors import SettingsError


def prepare(args: argparse.Namespace) -> None:
    """Check a dataset once and write its index: --dataset NAME, or the dataset of --out in a plan file."""
    from cassle.contracts.plan_file import JobPlan
    from cassle.core.files import write_text
    from cassle.data.base import datasets, write_index
    from cassle.data.report import describe_index

    if args.plan:
        plan = JobPlan(Path(args.plan))
        site, stream = prepare_site(plan.site), plan.stream_of_index(Path(args.out).parent.name)
        name, own = stream.dataset, stream.index_data
    elif args.dataset:
        site, name, own = site_of(args), args.dataset, object_of(args, "settings")
    else:
        raise SettingsError("give --dataset NAME, such as cifar100, or --plan")
    dataset = datasets.get(name)(**{**site.data.get(name, {}), **own})
    index = dataset.index(site.root, args.cores or available_cores())
    write_text(Path(args.out).with_name("prepare.md"), describe_index(index))
    write_index(args.out, index)
    print(index.notes or "nothing odd was found")


def split(args: argparse.Namespace) -> None:
    """Split a dataset into the tasks of a stream: --stream NAME, or the stream of --out in a plan file."""
    from cassle.contracts.plan_file import JobPlan
    from cassle.core.files import write_text
    from cassle.data.base import read_index
    from cassle.data.splits import check_tasks, describe, write_split
    from cassle.data.splits import split as split_stream
    from cassle.data.streams import Stream

    if args.plan:
        plan = JobPlan(Path(args.plan))
        prepare_site(plan.site)
        stream = plan.stream(Path(args.out).parent.name)
    elif args.stream:
        stream = Stream.parse(args.stream, site_of(args).data)
    else:
        raise SettingsError("give --stream NAME, such as digits-domain6, or --plan")
    made = split_stream(stream, read_index(args.index))
    check_tasks(made)
    write_text(Path(args.out).with_suffix(".md"), describe(made))
    write_split(args.out, made)
