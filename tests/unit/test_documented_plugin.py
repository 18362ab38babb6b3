"""The worked example of docs/adding-a-method.md runs as it stands there."""

import re
from pathlib import Path

import pytest
import yaml

from cassle.data.base import data_sets, write_index
from cassle.data.streams import split, write_split
from cassle.models.checkpoints import load_checkpoint
from cassle.objectives.base import objectives
from cassle.runs import resolve
from cassle.settings.reading import read_study
from cassle.strategies.base import strategies
from cassle.training.job import train_task
from cassle.training.task import TrainRequest

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-method.md"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The page's files, written into an empty folder that is made the current one."""
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    assert {name for name, _ in blocks} == {"alignment.py", "alignment.yaml", "anchor.py", "study.yaml"}
    monkeypatch.chdir(tmp_path)
    for registry in (objectives, strategies):  # what the plugins register is gone after the test
        monkeypatch.setattr(registry, "_entries", {name: registry.get(name) for name in registry.names()})
    return tmp_path


def test_the_example_plans_trains_and_acts_from_the_second_task_on(example):
    given = yaml.safe_load((example / "study.yaml").read_text())
    changes = {"streams": ["digits-domain2"], "objectives": ["alignment"], "backbones": ["conv3-narrow"]}
    study = read_study({**given, **changes, "training": {"epochs": 1, "batch_size": 512}, "offline": False})
    plan = resolve(study)
    assert any("/anchor~weight=0.5/" in folder for folder in plan.train)
    index = data_sets.get("digits")().index(None)
    write_index("index.npz", index)
    write_split("split.npz", split(plan.streams["digits-domain2"], index))
    penalties = {}
    for folder, job in plan.train.items():
        previous = example / job.parent / "checkpoint.pt" if job.parent else None
        train_task(
            TrainRequest(job.spec, study.site(), Path("index.npz"), Path("split.npz"), example / folder, previous)
        )
        assert load_checkpoint(example / folder / "checkpoint.pt").meta["spec"] == job.spec
        line = (example / folder / "metrics.jsonl").read_text()
        penalties[folder.split("/")[4]] = yaml.safe_load(line)["penalty"]
    assert penalties["first"] == penalties["finetune"] == 0
    assert penalties["anchor~weight=0.5"] > 0
    assert penalties["cassle"] > 0
