"""Verbs for people: which study a plan is asked of, and what a checkpoint gives away."""

import re
from pathlib import Path

import pytest
import torch

from cassle.cli import main
from cassle.models.checkpoints import Checkpoint, save_checkpoint
from cassle.models.model import Model
from cassle.nets.base import backbones
from cassle.objectives.base import objectives

README = (Path(__file__).parents[3] / "README.md").read_text()


@pytest.mark.parametrize(("size", "padding"), [(96, None), (32, 1), (32, 2)])
def test_the_exported_backbone_loads_into_torchvision_as_the_readme_says(size, padding, tmp_path, monkeypatch):
    torch.manual_seed(0)
    kind = backbones.get("resnet18")
    backbone = kind(size, kind.Settings(stem_padding=padding or 1))
    objective = objectives.get("simclr")
    model = Model(backbone, objective(objective.Settings(), backbone, 10), 10)
    save_checkpoint(tmp_path / "checkpoint.pt", Checkpoint(model.state_dict(), {}, {}))
    out = tmp_path / "backbone.pt"
    assert main(["export", "--checkpoint", str(tmp_path / "checkpoint.pt"), "--out", str(out)]) == 0
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(import torch, torchvision\n.*?)```", README, re.DOTALL)[1]
    stem = "network.conv1, network.maxpool ="
    code = code.replace("padding=1", f"padding={padding}") if padding else code.replace(stem, "_ =")
    names = {}
    exec(code.replace("network.load", "left = network.load"), names)
    network = names["network"]
    assert names["left"] == (["fc.weight", "fc.bias"], [])
    network.fc = torch.nn.Identity()
    images = torch.randn(2, 3, size, size)
    assert torch.equal(network.eval()(images), backbone.eval()(images))


@pytest.mark.parametrize(
    "words",
    [
        ["--configfile", "study.yaml", "seed=3", "offline=true"],
        ["--configfile", "study.yaml", "--config", "seed=3", "offline=true"],
        ["--config", "seed=3", "offline=true", "--configfile", "study.yaml"],
        ["offline=true", "--configfile", "study.yaml", "--config", "seed=3"],
        ["--configfile", "study.yaml", "seeds=3.yaml", "offline=true"],
    ],
)
def test_words_of_a_plan_are_told_from_files(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("study.yaml", "seeds=3.yaml"):
        (tmp_path / name).touch()
    asked = []
    monkeypatch.setattr("cassle.cost.text.cost_of", lambda files, words, rate: asked.append((files, sorted(words))))
    assert main(["plan", *words]) == 0
    files = [word for word in words if word.endswith(".yaml")]
    assert asked == [(files, sorted(word for word in words if "=" in word and word not in files))]


def test_a_flag_is_written_out(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--tflop", "3"])
    assert "unrecognized arguments: --tflop" in capsys.readouterr().err
