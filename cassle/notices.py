"""What a plan will meet that is no error yet, told at the dry run and when a study begins."""

from __future__ import annotations

from pathlib import Path

from cassle.data.base import DataSet, Rooted, read_index
from cassle.data.image_files import ImageFiles
from cassle.data.streams import Stream
from cassle.devices import visible_devices
from cassle.errors import DataError
from cassle.paths import index_file
from cassle.runs import Plan, TrainJob


def notices(plan: Plan, remote: bool = False, root: Path = Path()) -> list[str]:
    """Return what a user should know before the trainings that are left are begun, each thing once.

    ``remote``: jobs run on other machines, whose GPUs nobody sees from here. Where the files of a data set are is no
    error yet, since the jobs may know what this process does not.
    """
    left = [job for job in plan.train.values() if not (root / job.folder / "train.json").is_file()]
    return [*_unplaced(plan), *_slow(plan, left, remote, root)] if left else []


def _unplaced(plan: Plan) -> list[str]:
    """Return the question where a data set is, for each one whose place nothing tells."""
    site = plan.study.site()
    sets = {stream.data_set: stream.open(site.data) for stream in plan.streams.values()}
    questions = [one.unplaced(site.root) for one in sets.values() if issubclass(type(one).Settings, Rooted)]
    return [question for question in questions if question is not None]


def _slow(plan: Plan, left: list[TrainJob], remote: bool, root: Path) -> list[str]:
    """Return a line for each data set whose images one process per GPU would have to decode."""
    execution, data = plan.study.execution, plan.study.data
    if execution.threads > 1 or execution.loader == "dali":
        return []
    streams = [Stream(**job.spec["stream"]) for job in left if job.gpus]
    by_index = {stream.index: stream for stream in streams}
    files = [one for one in by_index.values() if stay_in_files(one.open(data), root / index_file(one.index))]
    if not files or not (remote or visible_devices()):
        return []
    return [
        f"images of {name} stay in files, and one process per GPU decodes them while the GPU waits; give "
        "execution={threads: 8} (cores for each GPU), or execution={loader: dali}"
        for name in dict.fromkeys(stream.data_set for stream in files)
    ]


def stay_in_files(data_set: DataSet, index: Path) -> bool:
    """Return whether images are decoded whenever they are read; before there is an index, image files are said to be.

    Only an index knows whether they are few and of one size.
    """
    if not isinstance(data_set, ImageFiles):
        return False
    try:
        return not data_set.resident(read_index(index))
    except DataError:
        return True
