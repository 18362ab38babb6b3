"""The command line: one verb per rule of the workflow, and verbs for people.

Nothing heavy is imported before a verb needs it, so that verbs for people answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cassle import __version__
from cassle.errors import CassleError, SettingsError

if TYPE_CHECKING:
    from cassle.settings import Site


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; errors in the user's words go to standard error, and the exit code is not 0."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except CassleError as error:
        print(f"cassle {args.verb}: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        return 130
    return 0


# Verbs of the workflow


def prepare(args: argparse.Namespace) -> None:
    """Check a data set once and write its index."""
    from cassle.data.base import data_sets, write_index

    site = _site(args)
    write_index(args.out, data_sets.get(args.data_set)(**site.data.get(args.data_set, {})).index(site.root))


def split(args: argparse.Namespace) -> None:
    """Split a data set into the tasks of a stream, and describe them in a table beside the split."""
    from cassle.data.base import read_index
    from cassle.data.streams import Stream, describe, write_split
    from cassle.data.streams import split as split_stream
    from cassle.files import write_text
    from cassle.options import parse

    _site(args)
    stream = parse(Stream, json.loads(args.spec), "--spec") if args.spec else Stream.parse(args.stream)
    made = split_stream(stream, read_index(args.index))
    write_text(Path(args.out).with_suffix(".md"), describe(made))
    write_split(args.out, made)


def train(args: argparse.Namespace) -> None:
    """Train one task: by --spec and files as the workflow does, or by words such as objective=simclr task=0."""
    from cassle.devices import lease
    from cassle.failures import remembered
    from cassle.timing import timed

    if args.words:
        _fill_in(args)
    site = _site(args)
    if not (args.spec and args.index and args.split and args.folder):
        raise SettingsError(
            "give words (stream=... objective=... strategy=... task=0) or --spec, --index, --split, --folder"
        )
    wanted = 0 if site.execution.device == "cpu" else args.gpus
    record = Path(args.folder, "train.json")
    with lease(wanted, site.execution.jobs_per_gpu) as devices, timed(record):
        _show_only(devices, wanted)
        from cassle.training.job import TrainRequest, train_task

        previous = Path(args.previous) if args.previous else None
        given = Path(args.given) if args.given else None
        spec, folder = json.loads(args.spec), Path(args.folder)
        with remembered(folder, spec, args.attempt):
            train_task(TrainRequest(spec, site, Path(args.index), Path(args.split), folder, previous, given))


def probe(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint (or, without one, the random network of --spec) on every task of a stream."""
    from cassle.devices import lease
    from cassle.timing import timed

    site = _site(args)
    wanted = 0 if site.execution.device == "cpu" else args.gpus
    with lease(wanted, site.execution.jobs_per_gpu) as devices, timed(args.out):
        _show_only(devices, wanted)
        from cassle.data.streams import Stream
        from cassle.evaluation.job import ProbeRequest, probe_checkpoint
        from cassle.paths import index_file, split_file

        spec = json.loads(args.spec) if args.spec else _probe_words(args)
        stream = Stream(**spec["stream"])
        request = ProbeRequest(
            spec=spec,
            site=site,
            index=Path(args.index or index_file(stream.data_set)),
            split=Path(args.split or split_file(stream.name)),
            out=Path(args.out),
            checkpoint=Path(args.checkpoint) if args.checkpoint else None,
        )
        for name, accuracies in probe_checkpoint(request)["accuracies"].items():
            print(name, " ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies))


def collect(args: argparse.Namespace) -> None:
    """Write one tidy row per run, task, evaluated task and probe; with --jobs, also one per job."""
    from cassle.reporting.collect import collect as rows_of
    from cassle.reporting.frame import write_runs

    write_runs(args.out, rows_of(Path(args.results)))
    if args.jobs:
        from cassle.reporting.jobs import jobs_of, write_jobs

        write_jobs(args.jobs, jobs_of(Path(args.results)))


def study(args: argparse.Namespace) -> None:
    """Write the cells that a study's tables show."""
    from cassle.files import write_json

    write_json(args.out, json.loads(args.cells))


def table(args: argparse.Namespace) -> None:
    """Write the table of a stream under a probe as Markdown, CSV, LaTeX and HTML; with --partial, all of a study."""
    if args.partial:
        from cassle.reporting.partial import write_partial
        from cassle.reporting.show import listing

        print(listing(write_partial(Path(args.partial))))
        return
    from cassle.reporting.tables import write_tables

    if not (args.runs and args.study and args.stream and args.probe and args.out):
        raise SettingsError("give --runs, --study, --stream, --probe and --out, or --partial FOLDER")
    write_tables(args.runs, args.study, args.stream, args.probe, Path(args.out), args.jobs)


def features(args: argparse.Namespace) -> None:
    """Write the features of test images of a stream, as a checkpoint's network sees them."""
    from cassle.devices import lease
    from cassle.timing import timed

    site = _site(args)
    wanted = 0 if site.execution.device == "cpu" else args.gpus
    with lease(wanted, site.execution.jobs_per_gpu) as devices, timed(args.out):
        _show_only(devices, wanted)
        from cassle.evaluation.snapshot import SnapshotRequest, write_snapshot

        index, split, checkpoint, out = map(Path, (args.index, args.split, args.checkpoint, args.out))
        write_snapshot(SnapshotRequest(json.loads(args.spec), site, index, split, checkpoint, out, args.images))


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


def figure(args: argparse.Namespace) -> None:
    """Draw one figure of a study as PDF, SVG and PNG."""
    from cassle.reporting.figures import write_figure

    write_figure(args.runs, args.study, args.name, args.stream, args.probe, Path(args.out))


# Verbs for people


def status(args: argparse.Namespace) -> None:
    """Tell what every training of a study is doing; with --watch, again every few seconds."""
    from cassle.status import as_text, lines_of

    studies = [Path(args.folder)] if args.folder else sorted(file.parent for file in Path().glob(PLANS))
    if not studies:
        raise CassleError("no study was started here; call this in the folder that holds results/")
    while True:
        text = "\n\n".join(f"{study}\n{as_text(lines_of(study))}" for study in studies)
        print(f"\033[2J\033[H{text}" if args.watch else text, flush=True)
        if not args.watch:
            return
        time.sleep(WATCH_EVERY)


def wandb(args: argparse.Namespace) -> None:
    """Show a study's trainings on Weights & Biases: what is not there yet or, with --parent, live."""
    from cassle.options import parse
    from cassle.status import read_plan
    from cassle.tracking.follow import alone, follow
    from cassle.tracking.wandb import WandbSettings, WandbTracker

    given = {key: value for key in ("mode", "entity", "project") if (value := getattr(args, key)) is not None}
    study = Path(args.folder)
    settings = parse(WandbSettings, {**read_plan(study)["trackers"].get("wandb", {"mode": "online"}), **given}, "wandb")
    folder = study.resolve().parents[1] / "tracking" / "wandb"
    with alone(folder):
        follow(study, WandbTracker(settings, folder, study.resolve().parents[2]), args.parent)
    if settings.mode == "offline":
        print(f"offline runs: `wandb sync {folder}/wandb/offline-run-*` sends them")


def tensorboard(args: argparse.Namespace) -> None:
    """Write a study's curves as TensorBoard's event files: as they are now or, with --parent, live."""
    from cassle.tracking.follow import alone, follow
    from cassle.tracking.tensorboard import TensorBoardTracker

    study = Path(args.folder)
    folder = study.resolve().parents[1] / "tracking" / "tensorboard"
    with alone(folder):
        follow(study, TensorBoardTracker(folder), args.parent)
    print(f"`tensorboard --logdir {folder}` shows them")


def show(args: argparse.Namespace) -> None:
    """Print a study's tables, where its figures lie and, with --since, where the time went."""
    from cassle.reporting.show import listing, time_spent

    print(listing(Path(args.folder)))
    if args.since:
        print(time_spent(Path(args.folder).parents[1], args.since, args.cores))


def export(args: argparse.Namespace) -> None:
    """Write the backbone of a checkpoint as a plain state dict that torchvision loads."""
    from cassle.files import save_tensors
    from cassle.training.checkpoints import load_checkpoint

    model = load_checkpoint(args.checkpoint).model
    save_tensors(args.out, {k.removeprefix("backbone."): v for k, v in model.items() if k.startswith("backbone.")})


def schema(args: argparse.Namespace) -> None:
    """Write the JSON schemas of a study and of a recipe, for editors."""
    from cassle.files import write_json
    from cassle.settings import Recipe, Study

    write_json(Path(args.out) / "study.schema.json", Study.model_json_schema())
    write_json(Path(args.out) / "recipe.schema.json", {"additionalProperties": Recipe.model_json_schema()})


# Helpers


def _site(args: argparse.Namespace) -> Site:
    """Return where this job runs, with its plugins loaded."""
    from cassle.options import parse
    from cassle.registry import load_plugins
    from cassle.settings import Site

    site = parse(Site, json.loads(args.site), "--site")
    load_plugins(site.plugins)
    return site


def _fill_in(args: argparse.Namespace) -> None:
    """Take from the one training job that words name what the command line did not give."""
    import yaml

    from cassle.paths import index_file, split_file
    from cassle.runs import resolve
    from cassle.settings import read_study

    if bad := [word for word in args.words if "=" not in word]:
        raise SettingsError(f"'{bad[0]}' is not of the form key=value, such as objective=simclr")
    words = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in args.words)}
    task = words.pop("task", 0)
    study = read_study(words)
    jobs = [job for job in resolve(study).train.values() if job.spec["task"] == task]
    if len(jobs) != 1:
        raise SettingsError(f"these words name {len(jobs)} trainings of task {task}; name exactly one")
    job = jobs[0]
    args.site = json.dumps({**study.site().model_dump(mode="json"), **json.loads(args.site)})
    args.spec = args.spec or job.key
    args.folder = args.folder or job.folder
    args.index = args.index or index_file(job.spec["stream"]["data_set"])
    args.split = args.split or split_file(job.folder.split("/")[1])
    args.given = args.given or job.given or ""
    args.previous = args.previous or (f"{job.parent}/checkpoint.pt" if job.parent else None)


def _probe_words(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of an evaluation that the command line describes: by default on the checkpoint's stream."""
    from cassle.data.streams import Stream
    from cassle.runs import probe_part, probe_spec
    from cassle.training.checkpoints import load_checkpoint

    if not args.checkpoint:
        raise SettingsError("give --checkpoint FILE, or --spec for the random network")
    spec = load_checkpoint(args.checkpoint).meta["spec"]
    stream = Stream.parse(args.stream) if args.stream else Stream(**spec["stream"])
    return probe_spec([probe_part(name) for name in args.probes.split(",")], stream, spec["seed"])


def _show_only(devices: list[str], wanted: int) -> None:
    """Let this process see the leased devices and no other; none leased on purpose means CPU."""
    if devices or not wanted:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cassle", description="Continual self-supervised learning, step by step.")
    parser.add_argument("--version", action="version", version=f"cassle {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add(run: Any, *flags: str, site: bool = False, **required: bool) -> argparse.ArgumentParser:
        verb = verbs.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        verb.set_defaults(run=run)
        for flag in flags:
            verb.add_argument(f"--{flag}", **_FLAGS[flag])
        for flag, needed in required.items():
            verb.add_argument(f"--{flag}", **_FLAGS[flag], required=needed)
        if site:
            verb.add_argument("--site", default="{}", help="JSON: execution, data_root, data, plugins")
        return verb

    add(prepare, site=True, data_set=True, out=True)
    add(split, "spec", "stream", site=True, index=True, out=True)
    verb = add(train, "spec", "index", "split", "previous", "given", "folder", "gpus", "attempt", site=True)
    verb.add_argument(
        "words", nargs="*", metavar="KEY=VALUE", help="such as stream=digits-domain6 objective=simclr task=0"
    )
    add(probe, "spec", "checkpoint", "stream", "probes", "index", "split", "gpus", site=True, out=True)
    add(collect, "results", "jobs", out=True)
    add(study, cells=True, out=True)
    add(table, "runs", "jobs", "study", "stream", "probe", "partial", "out")
    add(figure, runs=True, study=True, name=True, stream=True, probe=True, out=True)
    add(features, "gpus", site=True, spec=True, checkpoint=True, index=True, split=True, images=False, out=True)
    add(feature_figure, name=True, study=True, out=True).add_argument("features", nargs="+", help="files of features")
    add(page, runs=True, study=True, jobs=True, out=True).add_argument("figures", nargs="*", help="files of figures")
    add(timeline, jobs=True, study=True, out=True)
    verb = add(status)
    verb.add_argument("folder", nargs="?", help="folder of a study, such as results/studies/digits; by default all")
    verb.add_argument("--watch", action="store_true", help="until Ctrl-C")
    for tracker in (wandb, tensorboard):
        verb = add(tracker, "parent")
        verb.add_argument("folder", help="folder of a study, such as results/studies/digits")
        if tracker is wandb:
            verb.add_argument("--mode", choices=["online", "offline"], help="by default as the study says, else online")
            verb.add_argument("--entity", help="user or team")
            verb.add_argument("--project", help="project")
    verb = add(show)
    verb.add_argument("folder", help="folder of a study's tables, such as results/studies/digits")
    verb.add_argument("--since", type=float, help="tell where the time went since this moment (seconds since 1970)")
    verb.add_argument("--cores", type=int, default=os.cpu_count(), help="cores the workflow could use since then")
    add(export, checkpoint=True, out=True)
    add(schema, out=True)
    return parser


PLANS = "results/studies/*/plan.json"
WATCH_EVERY = 3.0
"""Seconds between two looks of `cassle status --watch`."""

_FLAGS: dict[str, dict[str, Any]] = {
    "attempt": {"type": int, "default": 1, "help": "which attempt of the workflow at this job this is"},
    "cells": {"help": "JSON of the streams, objectives, strategies, ... a table shows"},
    "checkpoint": {"help": "a checkpoint.pt"},
    "data_set": {"help": "name of the data set"},
    "folder": {"help": "where checkpoint.pt, train.json and metrics.jsonl go"},
    "given": {"default": "", "help": "a first task's checkpoint to take over as it is, instead of training"},
    "gpus": {"type": int, "default": 1, "help": "GPUs to lease (fewer where fewer are)"},
    "images": {"type": int, "default": 1000, "help": "at most so many test images"},
    "index": {"help": "the data set's index.npz"},
    "jobs": {"help": "benchmark.csv"},
    "name": {"help": "name of the figure"},
    "out": {"help": "file or folder to write"},
    "parent": {"type": int, "help": "process to follow: go on until it has ended"},
    "partial": {"help": "folder of a study: its tables and figures from whatever runs there are, missing ones marked"},
    "previous": {"default": "", "help": "checkpoint of the task before; none for a first task"},
    "probe": {"help": "name of the probe"},
    "probes": {"default": "linear_cached,knn,online", "help": "names of probes, with commas"},
    "results": {"default": "results", "help": "folder of results"},
    "runs": {"help": "runs.csv"},
    "spec": {"help": "JSON of all settings that determine the result"},
    "split": {"help": "the stream's split.npz"},
    "stream": {"help": "a stream, such as digits-domain6"},
    "study": {"help": "study.json"},
}

if __name__ == "__main__":
    sys.exit(main())
