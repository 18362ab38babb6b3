"""A folder of many image files: what each case tells of itself, and what is made of it."""

from multiprocessing import active_children

import pytest

from cassle.bench import time_files as files
from cassle.bench.time_files import iterate, prepare
from cassle.bench.workload import specs
from cassle.core.errors import CassleError
from cassle.data.base import read_index


class Reported:
    """One end of a pipe that keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)

    def recv(self):
        return True


@pytest.fixture
def made(tmp_path):
    settings = files.BenchSettings(images=150, batch_size=16)
    root = files.make_files(tmp_path / "files", settings)
    reported = Reported()
    prepare(reported, str(root), 32, str(tmp_path / "index.npz"), 1)
    assert reported.sent == [("imported", 0), ("images", 250)]
    return root, str(tmp_path / "index.npz"), specs(settings.words())[0].training.model_dump(mode="json")


def test_made_up_files_fill_a_hundred_classes_and_are_too_different_to_be_kept_in_memory(made):
    index = read_index(made[1])
    assert (index.num_classes, len(index.train.labels), len(index.test.labels)) == (100, 150, 100)
    assert index.size is None
    assert not set(index.train.digests.tolist()) & set(index.test.digests.tolist())


@pytest.mark.parametrize(("steps", "images"), [(3, 2 * 16), (None, 8 * 16)])
def test_batches_are_made_until_the_step_asked_for_or_the_end_of_the_epoch(made, steps, images):
    root, index, training = made
    reported = Reported()
    iterate(reported, "torchvision", str(root), 32, index, training, 1, "cpu", steps)
    assert reported.sent == [("imported", 0), ("first batch", 0), ("images", images)]


def test_a_process_that_ends_early_is_told_of_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(CassleError, match="ended early; what it said stands above"):
        files.watched(prepare, str(tmp_path / "nowhere"), 32, str(tmp_path / "index.npz"), 1)
    assert not active_children()


def test_memory_counts_what_a_process_has_started_and_nothing_that_has_ended():
    assert 1 < files.memory(None) < 100_000
    assert files.cpu_seconds(None) > 0
    assert files.memory(2**22 + 1) == files.cpu_seconds(2**22 + 1) == 0


def test_a_row_is_the_slowest_start_and_the_largest_memory_of_all_rounds():
    one = {"imported": 1.0, "first batch": 2.0, "first batch, CPU": 3.0, "images": 90, "end": 5.0}
    other = {"imported": 2.0, "first batch": 2.5, "first batch, CPU": 1.0, "images": 90, "end": 3.5}
    rounds = [{**one, "imports": 10.0, "peak": 30.0}, {**other, "imports": 20.0, "peak": 25.0}]
    row = files._row("torchvision", rounds)
    assert (row["low"], row["high"]) == (30, 90)
    more = ("imports s", "first batch s", "of it CPU s", "peak MiB", "above imports MiB")
    assert [row[key] for key in more] == [2, 2.5, 3, 30, 20]
