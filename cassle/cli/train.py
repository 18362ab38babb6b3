"""Verbs that train a task and build the memory that a strategy keeps of it."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cassle.cli.execution import leased, prepare_site
from cassle.cli.overrides import planned_memory, planned_training
from cassle.contracts.layout import RECORD, index_file, split_file

if TYPE_CHECKING:
    from cassle.contracts.specs import TrainSpec
    from cassle.settings.site import Site


def train(args: argparse.Namespace) -> None:
    """Train one task: the one of --folder in a plan file, or the one that overrides such as objective=simclr name."""
    from cassle.monitor.failures import recorded
    from cassle.runtime.launch import first, follow_parent, launch, launched, processes

    job, site = planned_training(args)
    args.folder = args.folder or job.folder
    args.index = args.index or index_file(job.spec.stream.index)
    args.split = args.split or split_file(job.at.stream)
    args.memory = args.memory or (job.memory.memory if job.memory else "")
    args.first_checkpoint = args.first_checkpoint or job.first_checkpoint or ""
    args.previous = args.previous or (job.previous.checkpoint if job.previous else "")
    record = Path(args.folder) / RECORD
    if launched():
        follow_parent()
        with recorded(record, job.spec.digest, 1) if first() else nullcontext():
            return _train_here(args, job.spec, site)
    with recorded(record, job.spec.digest, args.attempt), leased(args.gpus, site.execution, record) as devices:
        batch_size = job.spec.training.batch_size
        count = 1 if args.first_checkpoint else processes(site.execution.processes, devices, batch_size)
        if count > 1:
            launch(args.arguments, count)
        else:
            _train_here(args, job.spec, site)


def build_memory(args: argparse.Namespace) -> None:
    """Build the memory of a strategy after a task: of --out in a plan file, or of overrides such as strategy=er."""
    from cassle.monitor.failures import recorded

    job, site = planned_memory(args)
    out = Path(args.out or job.file)
    memory = args.memory or (job.previous.memory if job.previous else "")
    times = out.with_name("build_memory.json")
    with recorded(out, job.spec.digest, args.attempt), leased(args.gpus, site.execution, times):
        prepare_site(site)
        from cassle.training.memory import MemoryRequest
        from cassle.training.memory import build_memory as build

        request = MemoryRequest(
            job.spec,
            site,
            index=Path(args.index or index_file(job.spec.stream.index)),
            split=Path(args.split or split_file(job.at.stream)),
            checkpoint=Path(args.checkpoint or job.checkpoint.checkpoint),
            out=out,
            previous=Path(memory) if memory else None,
        )
        build(request)


def _train_here(args: argparse.Namespace, spec: TrainSpec, site: Site) -> None:
    """Train in this process, which may be one of several."""
    prepare_site(site)
    from cassle.training.task import TrainRequest
    from cassle.training.train_task import train_task

    optional = (Path(path) if path else None for path in (args.previous, args.first_checkpoint, args.memory))
    files = (Path(args.index), Path(args.split), Path(args.folder))
    train_task(TrainRequest(spec, site, *files, *optional), _operations)


def _operations(spec: TrainSpec, image_size: int, num_classes: int) -> float | None:
    """Return the operations per image of a training; None where they cannot be counted.

    The verb hands it to the training, so that the counting is no part of the training's code.
    """
    from cassle.core.log import say
    from cassle.training.flops import training_flops

    try:
        return training_flops(spec, image_size, num_classes)
    except Exception as error:  # a plugin may raise anything, and a number for a table must not cost a training
        say(f"the operations of this training are not counted: {error}")
        return None
