"""What a checkpoint gives away."""

import torch
import torchvision

from cassle.cli import main
from cassle.models.checkpoints import Checkpoint, save_checkpoint
from cassle.models.model import Model
from cassle.nets.base import backbones
from cassle.objectives.base import objectives


def test_the_exported_backbone_loads_into_torchvision(tmp_path):
    torch.manual_seed(0)
    kind = backbones.get("resnet18")
    backbone = kind(96, kind.Settings())
    objective = objectives.get("simclr")
    model = Model(backbone, objective(objective.Settings(), backbone, 10), 10)
    save_checkpoint(tmp_path / "checkpoint.pt", Checkpoint(model.state_dict(), {}, {}))
    out = tmp_path / "backbone.pt"
    assert main(["export", "--checkpoint", str(tmp_path / "checkpoint.pt"), "--out", str(out)]) == 0
    network = torchvision.models.resnet18()
    missing, unexpected = network.load_state_dict(torch.load(out, weights_only=True), strict=False)
    assert (missing, unexpected) == (["fc.weight", "fc.bias"], [])
    network.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 96, 96)
    assert torch.equal(network.eval()(images), backbone.eval()(images))
