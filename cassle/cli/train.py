"""Verbs that train a task and write what a strategy keeps of it."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from cassle.cli.execution import leased, object_of, site_of
from cassle.cli.overrides import fill_in_memory, fill_in_training
from cassle.core.errors import SettingsError


def train(args: argparse.Namespace) -> None:
    """Train one task: by --spec and files as the workflow does, or by words such as objective=simclr task=0."""
    from cassle.monitor.failures import remembered
    from cassle.runtime.launch import first, follow_parent, launch, launched, processes

    if args.words:
        fill_in_training(args)
    if not (args.spec and args.index and args.split and args.folder):
        raise SettingsError(
            "give words (stream=... objective=... strategy=... task=0) or --spec, --index, --split, --folder"
        )
    spec, folder = object_of(args, "spec"), Path(args.folder)
    record = folder / "train.json"
    if launched():
        follow_parent()
        with remembered(record, spec, 1) if first() else nullcontext():
            return _train_here(args, spec)
    with remembered(record, spec, args.attempt):  # first of all: a retry that is not worth it ends at once
        execution = site_of(args).execution
        with leased(args.gpus, execution, record) as devices:
            count = 1 if args.given else processes(execution.processes, devices, spec["training"]["batch_size"])
            if count > 1:
                launch(args.arguments, count)
            else:
                _train_here(args, spec)


def build_memory(args: argparse.Namespace) -> None:
    """Write what a strategy keeps after a task: by --spec and files, or by words such as strategy=er task=0."""
    from cassle.monitor.failures import remembered

    if args.words:
        fill_in_memory(args)
    if not (args.spec and args.index and args.split and args.checkpoint and args.out):
        raise SettingsError(
            "give words (stream=... objective=... strategy=... task=0) or --spec, --index, --split, --checkpoint, --out"
        )
    spec, out, memory = object_of(args, "spec"), Path(args.out), Path(args.memory) if args.memory else None
    with remembered(out, spec, args.attempt):
        site = site_of(args)
        with leased(args.gpus, site.execution, out.with_name("build_memory.json")):
            from cassle.training.memory import MemoryRequest, build_memory

            files = (Path(args.index), Path(args.split), Path(args.checkpoint), out)
            build_memory(MemoryRequest(spec, site, *files, memory))


def _train_here(args: argparse.Namespace, spec: dict[str, Any]) -> None:
    """Train in this process, which may be one of several."""
    site = site_of(args)
    from cassle.training.task import TrainRequest
    from cassle.training.train_task import train_task

    previous, given, memory = (Path(path) if path else None for path in (args.previous, args.given, args.memory))
    files = (Path(args.index), Path(args.split), Path(args.folder))
    train_task(TrainRequest(spec, site, *files, previous, given, memory), _operations)


def _operations(spec: dict[str, Any], image_size: int, num_classes: int) -> float | None:
    """Return the operations per image of a training; None where they cannot be counted.

    It is handed to the training from here, so that how things are counted is no part of the training's code.
    """
    from cassle.core.log import say
    from cassle.training.flops import training_flops

    try:
        return training_flops(spec, image_size, num_classes)
    except Exception as error:  # a plugin may raise anything, and a number for a table must not cost a training
        say(f"the operations of this training are not counted: {error}")
        return None
