"""What a checkpoint gives away."""

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
