"""The command line: one verb per rule of the workflow, and verbs for people.

Nothing heavy is imported before a verb needs it, so that verbs for people answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cassle import __version__
from cassle.errors import CassleError, SettingsError
from cassle.log import say

if TYPE_CHECKING:
    from cassle.runs import MemoryJob, Plan, TrainJob
    from cassle.settings import Site


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; errors in the user's words go to standard error, and the exit code is not 0."""
    args = _parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        args.run(args)
    except CassleError as error:
        say(f"cassle {args.verb}: {error}", sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        return 130
    return 0


# Verbs of the workflow


def prepare(args: argparse.Namespace) -> None:
    """Check a data set once, write its index, and what was found as prepare.md beside it."""
    from cassle.data.base import data_sets, write_index
    from cassle.data.report import describe_index
    from cassle.files import write_text

    site = _site(args)
    settings = {**site.data.get(args.data_set, {}), **json.loads(args.settings)}
    index = data_sets.get(args.data_set)(**settings).index(site.root, args.cores or available_cores())
    write_text(Path(args.out).with_name("prepare.md"), describe_index(index))
    write_index(args.out, index)
    print(index.notes or "nothing odd was found")


def split(args: argparse.Namespace) -> None:
    """Split a data set into the tasks of a stream, and describe them in a table beside the split."""
    from cassle.data.base import read_index
    from cassle.data.streams import Stream, check_tasks, describe, write_split
    from cassle.data.streams import split as split_stream
    from cassle.files import write_text
    from cassle.options import parse

    site = _site(args)
    stream = parse(Stream, json.loads(args.spec), "--spec") if args.spec else Stream.parse(args.stream, site.data)
    made = split_stream(stream, read_index(args.index))
    check_tasks(made)
    write_text(Path(args.out).with_suffix(".md"), describe(made))
    write_split(args.out, made)


def train(args: argparse.Namespace) -> None:
    """Train one task: by --spec and files as the workflow does, or by words such as objective=simclr task=0."""
    from cassle.devices import lease
    from cassle.failures import remembered
    from cassle.launch import first, follow_parent, launch, launched, processes
    from cassle.timing import timed

    if args.words:
        _fill_in(args)
    if not (args.spec and args.index and args.split and args.folder):
        raise SettingsError(
            "give words (stream=... objective=... strategy=... task=0) or --spec, --index, --split, --folder"
        )
    spec, folder = json.loads(args.spec), Path(args.folder)
    if launched():
        follow_parent()
        with remembered(folder, spec, 1) if first() else nullcontext():
            return _train_here(args, spec)
    with remembered(folder, spec, args.attempt):  # first of all: a retry that is not worth it ends at once
        execution = _site(args).execution
        wanted = 0 if execution.device == "cpu" else args.gpus
        with (
            lease(wanted, execution.jobs_per_gpu) as devices,
            timed(folder / "train.json", leased=_named(devices)),
        ):
            _show_only(devices, wanted)
            count = 1 if args.given else processes(execution, devices, spec["training"]["batch_size"])
            if count > 1:
                launch(args.arguments, count)
            else:
                _train_here(args, spec)


def remember(args: argparse.Namespace) -> None:
    """Write what a strategy keeps after a task: by --spec and files, or by words such as strategy=er task=0."""
    from cassle.devices import lease
    from cassle.timing import timed

    if args.words:
        _fill_in_memory(args)
    site = _site(args)
    if not (args.spec and args.index and args.split and args.checkpoint and args.out):
        raise SettingsError(
            "give words (stream=... objective=... strategy=... task=0) or --spec, --index, --split, --checkpoint, --out"
        )
    wanted = 0 if site.execution.device == "cpu" else args.gpus
    record = Path(args.out).with_name("remember.json")
    with lease(wanted, site.execution.jobs_per_gpu) as devices, timed(record, leased=_named(devices)):
        _show_only(devices, wanted)
        from cassle.training.remember import RememberRequest, remember_task

        files = (Path(args.index), Path(args.split), Path(args.checkpoint), Path(args.out))
        memory = Path(args.memory) if args.memory else None
        remember_task(RememberRequest(json.loads(args.spec), site, *files, memory))


def probe(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint, a file of other software, or the random network on every task of a stream."""
    from cassle.devices import lease
    from cassle.timing import timed

    site = _site(args)
    wanted = 0 if site.execution.device == "cpu" else args.gpus
    with lease(wanted, site.execution.jobs_per_gpu) as devices, timed(args.out, leased=_named(devices)):
        _show_only(devices, wanted)
        from cassle.evaluation.base import streams_of
        from cassle.evaluation.job import ProbeRequest, probe_checkpoint
        from cassle.paths import index_file, split_file

        checkpoint = Path(args.checkpoint) if args.checkpoint else None
        spec = json.loads(args.spec) if args.spec else _probe_words(args, site, checkpoint)
        streams = streams_of(spec)
        index = args.index or [index_file(stream.index) for stream in streams]
        split = args.split or [split_file(stream.name) for stream in streams]
        files = [Path(file) for file in index], [Path(file) for file in split]
        found = probe_checkpoint(ProbeRequest(spec, site, *files, Path(args.out), checkpoint))
        for name, accuracies in found["accuracies"].items():
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
    with lease(wanted, site.execution.jobs_per_gpu) as devices, timed(args.out, leased=_named(devices)):
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
    from cassle.status import as_text

    studies = [Path(args.folder)] if args.folder else sorted(file.parent for file in Path().glob(PLANS))
    if not studies:
        raise CassleError("no study was started here; call this in the folder that holds results/")
    while True:
        text = "\n\n".join(f"{study}\n{as_text(study)}" for study in studies)
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


def plan(args: argparse.Namespace) -> None:
    """Tell what a study will cost before it is run: jobs, images, operations, disk, time, and what is done already."""
    from cassle.cost.text import cost_of

    print(cost_of(args.configfile, args.words, args.tflops))


def show(args: argparse.Namespace) -> None:
    """Print a study's tables, where its figures lie and, with --since, where the time went."""
    from cassle.reporting.show import listing, time_spent

    print(listing(Path(args.folder)))
    if args.since:
        print(time_spent(Path(args.folder).parents[1], args.since, args.cores))


def bench(args: argparse.Namespace) -> None:
    """Measure a part on this machine: views, loader, step, probe or strategies; by words such as data_set=digits."""
    from importlib import import_module

    from cassle.files import write_json
    from cassle.options import parse

    part = import_module(f"cassle.bench.{args.part}")
    measured = part.measure(parse(part.BenchSettings, _words(args.words), f"bench {args.part}"), _site(args))
    print(part.as_text(measured))
    if args.out:
        write_json(args.out, measured)


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


def _train_here(args: argparse.Namespace, spec: dict[str, Any]) -> None:
    """Train in this process, which may be one of several."""
    site = _site(args)
    from cassle.training.job import TrainRequest, train_task

    previous, given, memory = (Path(path) if path else None for path in (args.previous, args.given, args.memory))
    files = (Path(args.index), Path(args.split), Path(args.folder))
    train_task(TrainRequest(spec, site, *files, previous, given, memory))


def _site(args: argparse.Namespace) -> Site:
    """Return where this job runs, with its plugins loaded and its data sets declared."""
    from cassle.data.base import declare
    from cassle.options import parse
    from cassle.registry import load_plugins
    from cassle.settings import Site

    site = parse(Site, json.loads(args.site), "--site")
    load_plugins(site.plugins)
    declare(site.data)
    return site


def _words(given: list[str]) -> dict[str, Any]:
    """Return words of the form key=value, values read as YAML; `SettingsError` for the first that is none."""
    import yaml

    if bad := [word for word in given if "=" not in word]:
        raise SettingsError(f"'{bad[0]}' is not of the form key=value, such as objective=simclr")
    return {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in given)}


def _planned(args: argparse.Namespace) -> tuple[Plan, int]:
    """Return the plan of the study that words describe, and the task they name; take over where its jobs run."""
    from cassle.runs import resolve
    from cassle.settings import read_study

    words = _words(args.words)
    task = words.pop("task", 0)
    plan = resolve(read_study(words))
    args.site = json.dumps({**plan.study.site().model_dump(mode="json"), **json.loads(args.site)})
    return plan, task


def _take(args: argparse.Namespace, job: TrainJob | MemoryJob) -> None:
    """Take settings, index and split of a job where the command line did not give them."""
    from cassle.data.streams import Stream
    from cassle.paths import index_file, split_file

    args.spec = args.spec or job.key
    args.index = args.index or index_file(Stream(**job.spec["stream"]).index)
    args.split = args.split or split_file(job.folder.split("/")[1])


def _fill_in(args: argparse.Namespace) -> None:
    """Take from the one training job that words name what the command line did not give."""
    plan, task = _planned(args)
    jobs = [job for job in plan.train.values() if job.spec["task"] == task]
    if len(jobs) != 1:
        raise SettingsError(f"these words name {len(jobs)} trainings of task {task}; name exactly one")
    job = jobs[0]
    _take(args, job)
    args.folder = args.folder or job.folder
    args.memory = args.memory or job.memory or ""
    args.given = args.given or job.given or ""
    args.previous = args.previous or (f"{job.parent}/checkpoint.pt" if job.parent else None)


def _fill_in_memory(args: argparse.Namespace) -> None:
    """Take from the one memory that words name what the command line did not give."""
    plan, task = _planned(args)
    jobs = [job for job in plan.memory.values() if job.spec["task"] == task]
    if len(jobs) != 1:
        raise SettingsError(
            f"these words name {len(jobs)} memories after task {task}; name exactly one strategy that keeps something, "
            "and not the last task"
        )
    job = jobs[0]
    _take(args, job)
    args.checkpoint = args.checkpoint or f"{job.checkpoint}/checkpoint.pt"
    args.memory = args.memory or job.previous or ""
    args.out = args.out or job.file


def _probe_words(args: argparse.Namespace, site: Site, checkpoint: Path | None) -> dict[str, Any]:
    """Return the settings of an evaluation that the command line describes."""
    from cassle.evaluation.words import described

    what = (args.stream, args.data_set, args.probes, args.backbone, args.stem_padding, args.image_size)
    return described(site.data, checkpoint, *what)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _named(devices: list[str]) -> str:
    """Return leased devices as a table of jobs names them."""
    return f"GPU {' '.join(devices)}" if devices else "cpu"


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

    add(prepare, "settings", "cores", site=True, data_set=True, out=True)
    add(split, "spec", "stream", site=True, index=True, out=True)
    train_flags = ("spec", "index", "split", "previous", "given", "memory", "folder", "gpus", "attempt")
    for verb in (
        add(train, *train_flags, site=True),
        add(remember, "spec", "index", "split", "checkpoint", "memory", "gpus", "out", site=True),
    ):
        verb.add_argument(
            "words", nargs="*", metavar="KEY=VALUE", help="such as stream=digits-domain6 objective=simclr task=0"
        )
    foreign = ("data_set", "backbone", "stem_padding", "image_size")
    verb = add(probe, "spec", "checkpoint", "stream", "probes", "gpus", *foreign, site=True, out=True)
    verb.add_argument("--index", nargs="+", help="index.npz of each data set that is looked at")
    verb.add_argument("--split", nargs="+", help="split.npz of each stream that is looked at")
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
    verb = add(plan)
    verb.add_argument("--configfile", nargs="+", default=[], help="file of a study, such as config/paper/all.yaml")
    verb.add_argument("words", nargs="*", metavar="KEY=VALUE", help="as after snakemake --config, such as seed=3")
    verb.add_argument("--tflops", type=float, help="sustained 10^12 operations per second; else as finished trainings")
    verb = add(show)
    verb.add_argument("folder", help="folder of a study's tables, such as results/studies/digits")
    verb.add_argument("--since", type=float, help="tell where the time went since this moment (seconds since 1970)")
    verb.add_argument("--cores", type=int, default=os.cpu_count(), help="cores the workflow could use since then")
    verb = add(bench, "out", site=True)
    verb.add_argument("part", choices=BENCHES, help="what is measured")
    verb.add_argument("words", nargs="*", metavar="KEY=VALUE", help="such as data_set=digits batch_size=256")
    add(export, checkpoint=True, out=True)
    add(schema, out=True)
    return parser


BENCHES = ("views", "loader", "step", "probe", "strategies")
PLANS = "results/studies/*/plan.json"
WATCH_EVERY = 3.0
"""Seconds between two looks of `cassle status --watch`."""

_FLAGS: dict[str, dict[str, Any]] = {
    "attempt": {"type": int, "default": 1, "help": "which attempt of the workflow at this job this is"},
    "backbone": {"help": "network of a file of other software, such as resnet18"},
    "cells": {"help": "JSON of the streams, objectives, strategies, ... a table shows"},
    "checkpoint": {"help": "a checkpoint.pt, or a file of other software (with --backbone)"},
    "cores": {"type": int, "default": 0, "help": "processes that read images; by default all cores there are"},
    "data_set": {"help": "name of the data set"},
    "folder": {"help": "where checkpoint.pt, train.json and metrics.jsonl go"},
    "given": {"default": "", "help": "a first task's checkpoint to take over as it is, instead of training"},
    "gpus": {"type": int, "default": 1, "help": "GPUs to lease (fewer where fewer are)"},
    "image_size": {"type": int, "help": "side of the images such a network takes; by default the data set's"},
    "images": {"type": int, "default": 1000, "help": "at most so many test images"},
    "index": {"help": "the data set's index.npz"},
    "jobs": {"help": "benchmark.csv"},
    "memory": {"default": "", "help": "what the strategy kept after the task before, if it keeps something"},
    "name": {"help": "name of the figure"},
    "out": {"help": "file or folder to write"},
    "parent": {"type": int, "help": "process to follow: go on until it has ended"},
    "partial": {"help": "folder of a study: its tables and figures from whatever runs there are, missing ones marked"},
    "previous": {"default": "", "help": "checkpoint of the task before; none for a first task"},
    "probe": {"help": "name of the probe"},
    "probes": {"default": "linear_cached,knn,online", "help": "names of probes, with commas, or a YAML list"},
    "results": {"default": "results", "help": "folder of results"},
    "runs": {"help": "runs.csv"},
    "settings": {"default": "{}", "help": "JSON of the data set's settings, over those of --site"},
    "spec": {"help": "JSON of all settings that determine the result"},
    "split": {"help": "the stream's split.npz"},
    "stem_padding": {"type": int, "help": "padding of such a network's 3x3 stem: 1, or 2 as in the original"},
    "stream": {"help": "a stream, such as digits-domain6"},
    "study": {"help": "study.json"},
}

if __name__ == "__main__":
    sys.exit(main())
