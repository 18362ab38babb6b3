"""The verbs and their flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cassle import __version__
from cassle.cli.people import BENCHES, bench, export, plan, schema, show, status, tensorboard, wandb
from cassle.cli.prepare import prepare, split
from cassle.cli.probe import features, probe
from cassle.cli.tables import collect, feature_figure, figure, page, study, table, timeline
from cassle.cli.train import build_memory, train

if TYPE_CHECKING:
    Verb = Callable[[argparse.Namespace], None]
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_FLAGS: dict[str, dict[str, Any]] = {
    "attempt": {"type": int, "default": 1, "help": "which attempt of the workflow at this job this is"},
    "backbone": {"help": "network of a file of other software, such as resnet18"},
    "checkpoint": {"help": "a checkpoint.pt; for probe also a file of other software, with --backbone"},
    "cores": {"type": int, "default": 0, "help": "processes that read images; by default all cores there are"},
    "dataset": {"help": "name of the dataset"},
    "digest": {"default": "", "help": "digest of the settings that the job was planned with"},
    "folder": {"help": "directory of checkpoint.pt, train.json and metrics.jsonl"},
    "first_checkpoint": {"default": "", "help": "a first task's checkpoint to take over, instead of training"},
    "gpus": {"type": int, "default": 1, "help": "GPUs to lease, or fewer if the machine has fewer"},
    "image_size": {"type": int, "help": "side of the images such a network takes; by default the dataset's"},
    "images": {"type": int, "default": 1000, "help": "at most so many test images"},
    "index": {"help": "the dataset's index.npz"},
    "jobs": {"help": "benchmark.csv"},
    "memory": {"default": "", "help": "memory of the strategy after the previous task, if it keeps one"},
    "name": {"help": "name of the figure"},
    "out": {"help": "file or folder to write"},
    "parent": {"type": int, "help": "process to follow: continue until it has ended"},
    "partial": {"help": "directory of a study: its tables and figures from the finished runs, missing ones marked"},
    "previous": {"default": "", "help": "checkpoint of the previous task; none for a first task"},
    "probe": {"help": "name of the probe"},
    "probes": {"default": "linear_cached,knn,online", "help": "names of probes, with commas, or a YAML list"},
    "results": {"help": "directory of results; by default that of --out"},
    "runs": {"help": "runs.csv"},
    "settings": {"default": "{}", "help": "JSON of the dataset's settings, over those of --site"},
    "plan": {"help": "plan file that the workflow has written"},
    "split": {"help": "the stream's split.npz"},
    "stem_padding": {"type": int, "help": "padding of such a network's 3x3 stem: 1, or 2 as in the original"},
    "stream": {"help": "a stream, such as digits-domain6"},
    "study": {"help": "study.json"},
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    It sets ``run``, the function of the verb, and ``job``: whether the workflow calls the verb.
    """
    about = "Continual self-supervised learning, step by step."
    parser = argparse.ArgumentParser(prog="cassle", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"cassle {__version__}")
    parser.set_defaults(job=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs, those for people first")
    _add_people(verbs)
    for_people = set(verbs.choices)
    _add_workflow(verbs)
    for name, verb in verbs.choices.items():
        verb.set_defaults(job=name not in for_people)
    return parser


def _add_people(verbs: Verbs) -> None:
    """Add the verbs for people, those of every day first."""
    add = partial(_add, verbs)
    verb = add(plan)
    verb.add_argument("--configfile", nargs="+", default=[], help="file of a study, such as config/paper/all.yaml")
    verb.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as after snakemake --config, such as seed=3")
    verb.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="the same")
    speed = verb.add_mutually_exclusive_group()
    speed.add_argument("--tflops", type=float, help="sustained 10^12 operations per second; else as finished trainings")
    speed.add_argument("--bench", metavar="FILE", help="speed of the step that `cassle bench step --out FILE` measured")
    verb = add(status)
    verb.add_argument("folder", nargs="?", help="folder of a study, such as results/studies/digits; by default all")
    verb.add_argument("--watch", action="store_true", help="until Ctrl-C")
    verb = add(show)
    verb.add_argument("folder", help="folder of a study's tables, such as results/studies/digits")
    verb.add_argument("--since", type=float, help="also print where the time went since then (seconds since 1970)")
    verb.add_argument("--cores", type=int, default=os.cpu_count(), help="cores the workflow could use since then")
    add(export, site=True, checkpoint=True, out=True)
    verb = add(bench, "out", site=True)
    verb.add_argument("part", choices=BENCHES, help="what is measured")
    verb.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as dataset=digits batch_size=256")
    for tracker in (wandb, tensorboard):
        verb = add(tracker, "parent")
        verb.add_argument("folder", help="folder of a study, such as results/studies/digits")
        if tracker is wandb:
            verb.add_argument("--mode", choices=["online", "offline"], help="by default that of the study, else online")
            verb.add_argument("--entity", help="user or team")
            verb.add_argument("--project", help="project")
    add(schema, out=True)


def _add_workflow(verbs: Verbs) -> None:
    """Add the verbs of the workflow, in its order."""
    add = partial(_add, verbs)
    add(prepare, "plan", "dataset", "settings", "cores", site=True, out=True)
    add(split, "plan", "stream", site=True, index=True, out=True)
    common = ("plan", "digest", "index", "split", "memory", "gpus", "attempt")
    for verb in (
        add(train, *common, "folder", "previous", "first_checkpoint", site=True),
        add(build_memory, *common, "checkpoint", "out", site=True),
    ):
        verb.add_argument(
            "overrides", nargs="*", metavar="KEY=VALUE", help="such as stream=digits-domain6 objective=simclr task=0"
        )
    external = ("dataset", "backbone", "stem_padding", "image_size")
    flags = ("plan", "digest", "checkpoint", "stream", "probes", "gpus", "attempt", *external)
    verb = add(probe, *flags, site=True, out=True)
    verb.add_argument("--index", nargs="+", help="index.npz of the dataset of each stream that is evaluated on")
    verb.add_argument("--split", nargs="+", help="split.npz of each stream that is evaluated on")
    add(collect, "results", "jobs", out=True)
    add(study, plan=True, out=True)
    add(table, "runs", "jobs", "study", "stream", "probe", "partial", "out")
    add(figure, runs=True, study=True, name=True, stream=True, probe=True, out=True)
    needed = dict.fromkeys(("plan", "checkpoint", "index", "split", "out"), True)
    add(features, "gpus", "attempt", "images", **needed)
    add(feature_figure, plan=True, name=True, study=True, out=True)
    add(page, plan=True, runs=True, study=True, jobs=True, out=True)
    add(timeline, jobs=True, study=True, out=True)


def _add(verbs: Verbs, run: Verb, *flags: str, site: bool = False, **required: bool) -> argparse.ArgumentParser:
    """Add a verb with optional flags, flags that are required or not, and `--site`."""
    verb = verbs.add_parser(run.__name__, help=run.__doc__, description=run.__doc__, allow_abbrev=False)
    verb.set_defaults(run=run)
    for flag in flags:
        verb.add_argument(f"--{flag}", **_FLAGS[flag])
    for flag, needed in required.items():
        verb.add_argument(f"--{flag}", **_FLAGS[flag], required=needed)
    if site:
        verb.add_argument("--site", default="{}", help="JSON: execution, data_root, data, plugins")
    return verb
