"""Snapshots: which belong to which run, and what every figure of features does with them."""

import warnings

import numpy as np
import pytest

from cassle.core.errors import DataError, SettingsError
from cassle.reporting.figures.base import COLORS
from cassle.reporting.figures.features import feature_figures, write_feature_figure
from cassle.reporting.figures.features.base import Snapshot, colors_of, read_snapshot, runs_of
from tests.unit.reporting.made import STREAM, summary, write_summary

IMAGES, DIM = 40, 6


def write_snapshots(results, strategies=("finetune", "cassle"), tasks=2):
    """Files of a study with a shared first task and joint training; the features of each are its own."""
    places = [f"{STREAM}/conv3/simclr/first/seed0/task0", "digits-all/conv3/simclr/first/seed0/task0"]
    places += [f"{STREAM}/conv3/simclr/{name}/seed0/task{task}" for name in strategies for task in range(1, tasks)]
    files = []
    for number, place in enumerate(places):
        file = results / place / "features" / f"{STREAM}.npz"
        file.parent.mkdir(parents=True)
        rng = np.random.default_rng(number)
        np.savez(
            file,
            features=rng.normal(size=(IMAGES, DIM)).astype(np.float32),
            labels=np.arange(IMAGES) % 4,
            tasks=np.arange(IMAGES) % tasks,
        )
        files.append(file)
    return files


def test_a_snapshot_is_named_by_its_path(tmp_path):
    first, joint, *later = map(read_snapshot, write_snapshots(tmp_path))
    assert (first.backbone, first.objective, first.strategy, first.task) == ("conv3", "simclr", "first", 0)
    assert (joint.strategy, joint.task) == ("offline", 0)
    assert [(one.strategy, one.task) for one in later] == [("finetune", 1), ("cassle", 1)]
    assert first.features.shape == (IMAGES, DIM)


def test_a_shared_first_task_belongs_to_each_of_its_heirs_and_to_no_other(tmp_path):
    runs = runs_of(map(read_snapshot, write_snapshots(tmp_path, tasks=3)), summary(titles={}))
    assert {key[2]: [(one.strategy, one.task) for one in run] for key, run in runs.items()} == {
        "finetune": [("first", 0), ("finetune", 1), ("finetune", 2)],
        "cassle": [("first", 0), ("cassle", 1), ("cassle", 2)],
        "offline": [("offline", 0)],
    }


def test_a_strategy_with_a_first_task_of_its_own_keeps_it():
    def snapshot(strategy, task):
        return Snapshot("conv3", "simclr", strategy, task, np.zeros((1, 1)), np.zeros(1), np.zeros(1))

    own = [snapshot("ewc", 0), snapshot("ewc", 1), snapshot("first", 0)]
    (run,) = runs_of(own, summary(strategies=["ewc", "cassle"])).values()
    assert [(one.strategy, one.task) for one in run] == [("ewc", 0), ("ewc", 1)]


@pytest.mark.parametrize("content", [b"", b"not a file of arrays"])
def test_a_bad_file_is_refused_with_its_name(tmp_path, content):
    (file, *_) = write_snapshots(tmp_path)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"digits-domain2\.npz.*delete it"):
        read_snapshot(file)


@pytest.mark.parametrize("name", feature_figures.names())
def test_the_same_features_give_the_same_bytes_without_a_warning(tmp_path, name):
    files = write_snapshots(tmp_path)
    write_summary(tmp_path / "study.json")
    written = []
    for folder in ("one", "two"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            write_feature_figure(name, tmp_path / "study.json", files, tmp_path / folder / f"{name}.pdf")
        written.append({file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()})
    assert sorted(written[0]) == [f"{name}.pdf", f"{name}.png", f"{name}.svg"]
    assert written[0] == written[1]


def test_no_features_make_an_empty_figure(tmp_path):
    write_summary(tmp_path / "study.json")
    for name in feature_figures.names():
        write_feature_figure(name, tmp_path / "study.json", [], tmp_path / f"{name}.pdf")
        assert (tmp_path / f"{name}.png").stat().st_size


def test_an_unknown_figure_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match="there is no figure of features 'tnse': did you mean 'tsne'"):
        write_feature_figure("tnse", tmp_path / "study.json", [], tmp_path / "out.pdf")


def test_few_groups_have_colors_of_the_palette_and_many_have_shades():
    assert colors_of(np.array([7, 3, 3])) == {3: COLORS[0], 7: COLORS[1]}
    many = colors_of(np.arange(100))
    assert len({tuple(color) for color in many.values()}) == 100
