"""A training on images that stay in files: the same bits whether it was interrupted or not, and features of them."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from cassle.contracts.specs import Component, MemorySpec
from cassle.core.errors import Interrupted
from cassle.data.base import datasets, write_index
from cassle.data.splits import split, write_split
from cassle.evaluation.probe_checkpoint import probe_checkpoint
from cassle.evaluation.probe_request import ProbeRequest
from cassle.models.checkpoints import load_checkpoint
from cassle.objectives.simclr import SimCLR
from cassle.plan import resolve
from cassle.plan.probes import probe_component, probe_spec
from cassle.settings.reading import read_study
from cassle.settings.site import Execution, Site
from cassle.strategies.compose import resolve_strategy
from cassle.training.learner import Learner
from cassle.training.memory import MemoryRequest, build_memory, load_memory
from cassle.training.task import TrainRequest
from cassle.training.train_task import train_task

STREAM = "specks-class2"
RECIPE = """
specks:
  source: a test
  epochs: 2
  batch_size: 8
  optimizer: {name: adamw, lr: 1.0e-3, weight_decay: 0.0, lr_per: null}
  schedule: {name: constant}
  classifier_lr: 1.0e-2
  objective: {hidden_dim: 16, output_dim: 8}
  views: [{size: 16, blur: 0.5}, {size: 16, solarize: 0.2}]
"""


@pytest.fixture(scope="module")
def own_names():
    """The dataset that these tests declare is gone after them."""
    datasets.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "_entries", dict(datasets._entries))
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory, own_names):
    """Function from a folder to the request that trains the first task of a stream of images of many sizes."""
    top = tmp_path_factory.mktemp("specks")
    rng = np.random.default_rng(0)
    for label in range(4):
        (top / "images" / f"class{label}").mkdir(parents=True)
        for place in range(14):
            height, width = rng.integers(18, 40, size=2)
            pixels = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(top / "images" / f"class{label}" / f"{place}.png")
    (top / "simclr.yaml").write_text(RECIPE)
    data = {"specks": {"kind": "folder", "root": str(top / "images"), "image_size": 16}}
    words = {"stream": STREAM, "objective": "simclr", "strategy": "finetune", "backbone": "conv3-narrow"}
    study = read_study({**words, "data": data, "recipes": str(top)})
    job = next(iter(resolve(study).train.values()))
    stream = job.spec.stream
    index = stream.open(data).index(None)
    assert index.size is None
    write_index(top / "index.npz", index)
    write_split(top / "split.npz", split(stream, index))

    def make(folder, **execution):
        site = Site(execution=Execution(device="cpu", **execution), data=data)
        return TrainRequest(job.spec, site, top / "index.npz", top / "split.npz", folder)

    return make


def same_bits(one, other):
    a, b = (load_checkpoint(folder / "checkpoint.pt").model for folder in (one, other))
    return all((a[key] == b[key]).all() for key in a) and a.keys() == b.keys()


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_interrupted_training_on_files_ends_in_the_same_bits(world, tmp_path, monkeypatch, step):
    whole, broken = world(tmp_path / "whole"), world(tmp_path / "broken")
    train_task(whole)
    original = Learner.on_train_batch_end

    def hook(self, outputs, batch, batch_idx):
        if self.moment.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, outputs, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_batch_end", hook)
        with pytest.raises(Interrupted):
            train_task(broken)
    train_task(broken)
    assert same_bits(whole.folder, broken.folder)
    record = json.loads((whole.folder / "train.json").read_text())
    assert record["loader"] == "torchvision"


def test_a_checkpoint_of_files_is_probed(world, tmp_path):
    request = world(tmp_path / "task0")
    train_task(request)
    probes = [probe_component(choice) for choice in ("knn", {"name": "linear", "epochs": 1}, "online")]
    spec = probe_spec(probes, request.spec.stream, 0, request.site.data)
    files = ([request.index], [request.split], tmp_path / "probe.json", request.folder / "checkpoint.pt")
    accuracies = probe_checkpoint(ProbeRequest(spec, request.site, *files)).accuracies
    assert {name: len(each) for name, each in accuracies.items()} == {"knn": 2, "linear~epochs=1": 2, "online": 2}


def test_what_a_strategy_keeps_is_made_of_files(world, tmp_path):
    request = world(tmp_path / "task0")
    train_task(request)
    settings = resolve_strategy("ewc+er", {"ewc": {"fisher_batch_size": 4, "fisher_batches": 2}}, SimCLR)
    strategy = Component(name="ewc+er", settings=settings)
    spec = MemorySpec(**{**dict(request.spec), "strategy": strategy})
    files = (request.index, request.split, request.folder / "checkpoint.pt", tmp_path / "memory.pt")
    build_memory(MemoryRequest(spec, request.site, *files))
    kept = load_memory(tmp_path / "memory.pt").tensors
    assert len(kept["er.positions"]) == len(kept["er.positions"].unique()) > 0
    assert (kept["ewc.fisher"] > 0).any()
