"""Warnings before a study begins: datasets without a directory, and GPUs that would wait for images."""

import re
from itertools import count

import pytest

from cassle.core.errors import SettingsError
from cassle.core.registry import load_plugins
from cassle.data.base import datasets, read_index, write_index
from cassle.objectives.base import objectives
from cassle.plan import warnings as module
from cassle.plan.warnings import stay_in_files, warnings
from tests.unit.data.images import write_classes
from tests.unit.plan.world import CONFIG, finished, plan

QUESTION = "where is cifar100? Give the folder that holds it as data_root in the settings or DATA_DIR in the"
SLOW = (
    "images of imagenet100 stay in files, and one process per GPU decodes them while the GPU waits; give "
    "execution={threads: 8} (cores for each GPU), or execution={loader: dali}"
)


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """No place of data in the environment, a folder without results, and a GPU."""
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.setattr(module, "visible_devices", lambda: ["0"])
    monkeypatch.chdir(tmp_path)


def imagenet(**execution):
    return plan(streams=["imagenet100-class5"], data_root="/data", execution=execution)


def test_data_whose_place_nothing_tells_are_asked_for_once(monkeypatch):
    [warning] = warnings(plan(streams=["cifar100-class5", "cifar100-class10", "digits-domain2"]))
    assert warning.startswith(QUESTION)
    assert warnings(plan(streams=["cifar100-class5"], data_root="/data")) == []
    assert warnings(plan(streams=["cifar100-class5"], data={"cifar100": {"root": "/data/cifar"}})) == []
    [warning] = warnings(plan(streams=["cifar100-class5"], data={"cifar100": {"root": "cifar"}}))
    assert warning.startswith(QUESTION)
    monkeypatch.setenv("DATA_DIR", "/data")
    assert warnings(plan(streams=["cifar100-class5"])) == []


def test_what_only_an_evaluation_looks_at_is_asked_for_too():
    [warning] = warnings(plan(probes=["knn", {"name": "transfer", "to": "cifar100-class5"}]))
    assert warning.startswith(QUESTION)


def test_a_study_whose_trainings_are_done_asks_nothing(tmp_path):
    made = plan(streams=["cifar100-class2"])
    for job in made.train.values():
        finished(tmp_path, job)
    assert warnings(made) == []


def test_one_loader_process_per_gpu_is_told_where_images_stay_in_files(monkeypatch):
    looked = []
    monkeypatch.setattr(module, "read_index", lambda path: looked.append(path) or read_index(path))
    assert warnings(imagenet()) == [SLOW]
    assert len(looked) == 1  # it takes seconds
    for execution in ({"threads": 4}, {"loader": "dali"}, {"device": "cpu"}):
        assert warnings(imagenet(**execution)) == []
    assert warnings(plan(streams=["cifar100-class5"], data_root="/data")) == []


def test_without_gpus_nothing_waits_for_images_but_other_machines_may_have_some(monkeypatch):
    monkeypatch.setattr(module, "visible_devices", list)
    assert warnings(imagenet()) == []
    assert warnings(imagenet(), remote=True) == [SLOW]


@pytest.mark.parametrize(("sizes", "stay"), [((20, 20), False), ((20, 24), True)])
def test_an_index_knows_whether_image_files_are_kept_in_memory(tmp_path, sizes, stay):
    for half, size in zip(("train", "val"), sizes, strict=True):
        write_classes(tmp_path / "birds" / half, ["tit", "wren"], 2, size=(size, size))
    birds, index = datasets.get("folder")(root=str(tmp_path / "birds")), tmp_path / "index.npz"
    assert stay_in_files(birds, index)
    write_index(index, birds.index(None))
    assert stay_in_files(birds, index) is stay
    index.write_bytes(b"damaged")
    assert stay_in_files(birds, index)


NAMES = (f"mine{number}" for number in count())
"""A name per objective, as what was built under a name is remembered."""


@pytest.fixture
def plugin(tmp_path):
    """A function that loads an objective whose methods have the bodies given; it is gone after the test."""
    before = dict(objectives._entries)

    def load(made, loss):
        name, recipe = next(NAMES), (CONFIG / "recipes/barlow_twins.yaml").read_text()
        file = tmp_path / "mine.py"
        file.write_text(PLUGIN.format(name=name, made=made, loss=loss))
        file.with_name(f"{name}.yaml").write_text(recipe.replace("objective:", "#"))
        load_plugins([file])
        return {"objectives": [name], "plugins": [str(file)]}

    yield load
    objectives._entries = before


PLUGIN = """
from torch import nn
from cassle.objectives.base import Objective, objectives

@objectives.register("{name}")
class Mine(Objective):
    distillation = "predictive"

    def __init__(self, settings, backbone, num_classes):
        super().__init__(settings, backbone, num_classes)
        {made}

    def loss(self, outputs, batch):
        return {loss}
"""
WHOLE = "self.projector, self.output_dim = nn.Linear(backbone.feature_dim, 4), 4"


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("outputs.z[0].square()", "RuntimeError: grad can be implicitly created only for scalar outputs"),
        ("outputs.z[0].detach().mean()", "RuntimeError: element 0 of tensors does not require grad"),
        ("self.settings.typo", "AttributeError: .*'typo' .mine.py, line 14.;"),
    ],
)
def test_a_step_of_a_plugin_that_fails_is_told_before_anything_runs(plugin, loss, reason):
    warning = warnings(plan(**plugin(WHOLE, loss), strategies=["finetune"]))
    assert re.match(f"a step of mine[0-9]+, conv3, tried without data, fails: {reason}", warning[0])


def test_a_step_of_a_plugin_that_works_is_no_matter(plugin):
    assert warnings(plan(**plugin(WHOLE, "outputs.z[0].square().mean()"))) == []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("self.output_dim = 4", "mine[0-9]+ on conv3: the constructor of Mine has to set self.projector"),
        ("self.projector = nn.Linear()", "mine[0-9]+ on conv3 cannot be built: TypeError: .* .mine.py, line 11."),
    ],
)
def test_an_objective_that_cannot_be_built_is_named_with_its_line(plugin, made, message):
    with pytest.raises(SettingsError, match=message):
        plan(**plugin(made, "0"))
