"""The examples of docs/adding-a-method.md run word for word."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cassle.data.base import datasets, write_index
from cassle.data.splits import split, write_split
from cassle.models.checkpoints import load_checkpoint
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.strategies.base import strategies
from cassle.training.task import TrainRequest
from cassle.training.train_task import train_task

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "adding-a-method.md").read_text()
FILES = dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SHORT = {"training": {"epochs": 1, "batch_size": 64}}


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The page's files, written into an empty folder that is made the current one."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for registry in (objectives, strategies, backbones, datasets):  # what the plugins register is gone after the test
        monkeypatch.setattr(registry, "_entries", {name: registry.get(name) for name in registry.names()})
    return tmp_path


def train(study):
    """Train everything that a study of one stream plans, and return the last line of metrics of each folder."""
    plan = resolve(study)
    [stream] = plan.streams.values()
    dataset = datasets.get(stream.dataset)(**study.data.get(stream.dataset, {}))
    index = dataset.index(study.site().root)
    write_index("index.npz", index)
    write_split("split.npz", split(stream, index))
    lines = {}
    for folder, job in plan.train.items():
        previous = Path(job.previous.checkpoint) if job.previous else None
        train_task(TrainRequest(job.spec, study.site(), Path("index.npz"), Path("split.npz"), Path(folder), previous))
        assert load_checkpoint(Path(folder, "checkpoint.pt")).provenance.spec == job.spec
        lines[folder] = yaml.safe_load(Path(folder, "metrics.jsonl").read_text().splitlines()[-1])
    return lines


def test_the_objective_and_the_strategy_train_and_act_from_the_second_task_on(example):
    given = yaml.safe_load((example / "study.yaml").read_text())
    changes = {"streams": ["digits-domain2"], "objectives": ["alignment"], "backbones": ["conv3-narrow"]}
    joined = read_study({**given, **changes, "strategies": ["cassle+anchor"], "preset": "original"})
    assert any("/cassle+anchor~" in folder for folder in resolve(joined).train)
    short = {"training": {"epochs": 1, "batch_size": 512}, "offline": False}
    lines = train(read_study({**given, **changes, **short}))
    penalties = {folder.split("/")[4]: line["penalty"] for folder, line in lines.items()}
    assert penalties["first"] == penalties["finetune"] == 0
    assert penalties["anchor~weight=0.5"] > 0
    assert penalties["cassle"] > 0


@pytest.fixture
def blood(example):
    """Arrays as those of ``bloodmnist.npz``, where the page's study looks for them, and what is written into them."""
    random = np.random.default_rng(0)
    arrays = {}
    for half, count in (("train", 256), ("val", 8), ("test", 32)):
        arrays[f"{half}_images"] = random.integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{half}_labels"] = (np.arange(count, dtype=np.uint8) % 8)[:, None]
    Path("data").mkdir()
    np.savez("data/bloodmnist.npz", **arrays)
    return arrays


def test_the_backbone_and_the_dataset_train_every_task_with_every_strategy(blood):
    study = read_study({**yaml.safe_load(Path("blood_study.yaml").read_text()), **SHORT})
    lines = train(study)
    assert len(lines) == 2 * (1 + 3 + 3)
    assert all(np.isfinite(line["loss"]) for line in lines.values())
    index = datasets.get("bloodmnist")().index(Path("data"))
    for half in ("train", "test"):
        images = datasets.get("bloodmnist")().load(index, None, half)
        assert np.array_equal(images.image(5).permute(1, 2, 0), blood[f"{half}_images"][5])
        assert images.labels.tolist() == blood[f"{half}_labels"][:, 0].tolist()


def test_the_study_against_all_has_every_strategy_of_the_repository_and_ones_own(example):
    usual = yaml.safe_load((REPOSITORY / "config" / "strategies.yaml").read_text())
    mine = yaml.safe_load((example / "against_all.yaml").read_text())
    assert mine["strategies"] == [*usual["strategies"], {"name": "anchor", "weight": 0.5}]
    assert {key: mine[key] for key in ("objectives", "seeds")} == {key: usual[key] for key in ("objectives", "seeds")}
    assert any("/anchor~weight=0.5/" in folder for folder in resolve(read_study(mine)).train)
