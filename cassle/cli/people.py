"""Verbs for people: plan, status, tables, trackers, export."""

from __future__ import annotations

import argparse
import shlex
import time
from contextlib import suppress
from pathlib import Path

from cassle.cli.execution import site_of
from cassle.cli.overrides import overrides_of
from cassle.contracts.layout import RESULTS, StudyFolder, tracking_folder
from cassle.core.errors import CassleError

BENCHES = ("views", "loader", "files", "step", "probe", "strategies")
PLANS = StudyFolder("*").plan
WATCH_EVERY = 3.0
"""Seconds between two looks of `cassle status --watch`."""


def status(args: argparse.Namespace) -> None:
    """Print the state of every job of a study, and whether Snakemake works; with --watch, again every few seconds."""
    from cassle.monitor.status import as_text, snakemake_at

    studies = [Path(args.folder)] if args.folder else sorted(file.parent for file in Path().glob(PLANS))
    if not studies:
        raise CassleError("no study was started here; call this in the folder that holds results/")

    def text() -> str:
        return "\n\n".join([*(f"{study}\n{as_text(study)}" for study in studies), snakemake_at(studies[0])])

    if not args.watch:
        print(text())
        return
    with suppress(KeyboardInterrupt):
        while True:
            print(f"\033[2J\033[H{text()}", flush=True)
            time.sleep(WATCH_EVERY)


def wandb(args: argparse.Namespace) -> None:
    """Show a study's trainings on Weights & Biases: those that are not shown yet or, with --parent, live."""
    from cassle.core.options import parse
    from cassle.monitor.status import read_plan
    from cassle.monitor.tracking.follow import alone, follow
    from cassle.monitor.tracking.wandb import WandbTracker
    from cassle.settings.site import WandbSettings

    given = {key: value for key in ("mode", "entity", "project") if (value := getattr(args, key)) is not None}
    study = Path(args.folder)
    settings = parse(WandbSettings, {**read_plan(study).trackers.get("wandb", {"mode": "online"}), **given}, "wandb")
    root = StudyFolder.root_of(study)
    folder = tracking_folder(root, "wandb")
    with alone(folder):
        follow(study, WandbTracker(settings, folder, root), args.parent)
    if settings.mode == "offline":
        print(f"offline runs: `wandb sync {shlex.quote(str(folder))}/wandb/offline-run-*` sends them")


def tensorboard(args: argparse.Namespace) -> None:
    """Write a study's curves as TensorBoard's event files: as they are now or, with --parent, live."""
    from cassle.monitor.tracking.follow import alone, follow
    from cassle.monitor.tracking.tensorboard import TensorBoardTracker

    study = Path(args.folder)
    folder = tracking_folder(StudyFolder.root_of(study), "tensorboard")
    with alone(folder):
        follow(study, TensorBoardTracker(folder), args.parent)
    print(f"`tensorboard --logdir {shlex.quote(str(folder))}` shows them")


def plan(args: argparse.Namespace) -> None:
    """Print the cost of a study before it is run: jobs, images, operations, disk, time, and finished jobs."""
    from cassle.cost.rate import benched_rate
    from cassle.cost.text import cost_of

    rate = None if args.tflops is None else args.tflops * 1e12
    if args.bench is not None:
        rate = benched_rate(Path(args.bench))
    behind = [text for text in args.configfile if "=" in text and not Path(text).exists()]
    files = [text for text in args.configfile if text not in behind]
    print(cost_of(files, [*args.config, *behind, *args.overrides], rate))


def show(args: argparse.Namespace) -> None:
    """Print a study's tables, the paths of its figures and, with --since, where the time went."""
    from cassle.reporting.show import listing, time_spent

    print(listing(Path(args.folder)))
    if args.since is not None:
        print(time_spent(StudyFolder.root_of(Path(args.folder)) / RESULTS, args.since, args.cores))


def bench(args: argparse.Namespace) -> None:
    """Measure a part on this machine: views, loader, files, step, probe or strategies; overrides such as rounds=2."""
    from importlib import import_module

    from cassle.core.files import write_json
    from cassle.core.options import parse

    part = import_module(f"cassle.bench.time_{args.part}")
    measured = part.measure(
        parse(part.BenchSettings, overrides_of(args.overrides), f"bench {args.part}"), site_of(args)
    )
    print(part.as_text(measured))
    if args.out:
        write_json(args.out, measured)


def export(args: argparse.Namespace) -> None:
    """Write the backbone of a checkpoint as a plain state dict, and print the Python code that loads it."""
    from cassle.evaluation.export import export_backbone

    site_of(args)
    print(export_backbone(Path(args.checkpoint), Path(args.out)))


def schema(args: argparse.Namespace) -> None:
    """Write the JSON schemas of a study and of a recipe, for editors."""
    from cassle.core.files import write_json
    from cassle.settings.recipe import Recipe
    from cassle.settings.study import Study

    write_json(Path(args.out) / "study.schema.json", Study.model_json_schema())
    write_json(Path(args.out) / "recipe.schema.json", {"additionalProperties": Recipe.model_json_schema()})
