"""Warnings at the dry run and at the start of a study: problems of a plan that are no errors yet."""

from __future__ import annotations

from pathlib import Path

from cassle.contracts.jobs import TrainJob
from cassle.contracts.layout import index_file
from cassle.contracts.specs import Component
from cassle.core.errors import DataError, in_words
from cassle.core.files import fingerprint
from cassle.core.registry import of_plugin, place_in_plugin
from cassle.data.base import Dataset, Rooted, read_index
from cassle.data.image_files import ImageFiles
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.plan.plan import Plan
from cassle.runtime.gpus import visible_devices
from cassle.strategies.base import strategies
from cassle.training.flops import step_cost


def warnings(plan: Plan, remote: bool = False, root: Path = Path()) -> list[str]:
    """Return the warnings about trainings that are not finished, each once.

    ``remote``: jobs run on other machines, whose GPUs this process does not see. A dataset without a directory is no
    error yet, since the jobs may know its directory.
    """
    left = [job for job in plan.train.values() if not (root / job.at.record).is_file()]
    return [*_unplaced(plan), *_slow(plan, left, remote, root), *_failing(left)] if left else []


def _unplaced(plan: Plan) -> list[str]:
    """Return a question for each dataset whose directory is not set."""
    site = plan.study.site()
    sets = {stream.dataset: stream.open(site.data) for stream in plan.streams.values()}
    questions = [one.unplaced(site.root) for one in sets.values() if issubclass(type(one).Settings, Rooted)]
    return [question for question in questions if question is not None]


def _slow(plan: Plan, left: list[TrainJob], remote: bool, root: Path) -> list[str]:
    """Return a line for each dataset whose images one process per GPU would have to decode."""
    execution, data = plan.study.execution, plan.study.data
    if execution.threads > 1 or execution.loader == "dali":
        return []
    streams = [job.spec.stream for job in left if job.gpus]
    by_index = {stream.index: stream for stream in streams}
    files = [one for one in by_index.values() if stay_in_files(one.open(data), root / index_file(one.index))]
    if not files or not (remote or visible_devices()):
        return []
    return [
        f"images of {name} stay in files, and one process per GPU decodes them while the GPU waits; give "
        "execution={threads: 8} (cores for each GPU), or execution={loader: dali}"
        for name in dict.fromkeys(stream.dataset for stream in files)
    ]


def _failing(left: list[TrainJob]) -> list[str]:
    """Return a line for each method of a plugin whose step fails without storage, once for first and later tasks.

    This is no error: a loss that reads values of tensors fails here only.
    """
    tried: dict[str, str | None] = {}
    for job in left:
        spec = job.spec
        kinds = [spec.backbone, spec.objective, *([] if spec.strategy is None else [spec.strategy])]
        views = [view.size for view in spec.training.views]
        text = fingerprint([[one.model_dump(mode="json") for one in kinds], views, spec.task == 0])
        if text not in tried and any(map(of_plugin, _classes(spec.backbone, spec.objective, spec.strategy))):
            tried[text] = _failure(job)
    return list(dict.fromkeys(line for line in tried.values() if line is not None))


def _classes(backbone: Component, objective: Component, strategy: Component | None) -> list[type]:
    """Return the classes of backbone, objective and components of the strategy of a training."""
    classes = [] if strategy is None else [strategies.get(name) for name in strategy.name.split("+")]
    return [backbones.get(backbone.name), objectives.get(objective.name), *classes]


def _failure(job: TrainJob) -> str | None:
    """Return why a step of a training fails, or None."""
    spec, dataset = job.spec, job.spec.stream.open({})
    try:
        step_cost(spec, dataset.image_size, dataset.num_classes or 1)
    except Exception as error:  # a plugin may raise anything
        names = [one.name for one in (spec.objective, spec.strategy, spec.backbone) if one is not None]
        return (
            f"a step of {', '.join(names)}, tried without data, fails: {in_words(error)}{place_in_plugin(error)}; "
            "unless it reads values of tensors, its training will go wrong in the same way"
        )
    return None


def stay_in_files(dataset: Dataset, index: Path) -> bool:
    """Return whether images are decoded whenever they are read.

    Without an index, which knows their number and sizes, this is true for all image files.
    """
    if not isinstance(dataset, ImageFiles):
        return False
    try:
        return not dataset.resident(read_index(index))
    except DataError:
        return True
