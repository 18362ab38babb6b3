"""What an exported backbone is, and that the printed lines make the same network of it."""

from pathlib import Path

import pytest
import torch

from cassle.cli import main
from cassle.data.streams import Stream
from cassle.models.checkpoints import Checkpoint, save_checkpoint
from cassle.nets.base import backbones
from cassle.training.build import build_model
from tests.unit.specs import changed, provenance, train_specs

README = (Path(__file__).parents[3] / "README.md").read_text()


def exported(folder, stream, data, backbone, capsys):
    """Export a checkpoint of random weights; return its network, its dataset and the code that was printed."""
    settings = backbones.get(backbone["name"]).Settings(**backbone["settings"])
    backbone = {"name": backbone["name"], "settings": settings.model_dump(mode="json")}
    cut = Stream.parse(stream, data)
    some = train_specs(stream="digits-domain2", objective="simclr", strategy="finetune")[0]
    spec = changed(some, stream=cut.model_dump(mode="json"), backbone=backbone, objective={"settings": {}})
    dataset = cut.open({})
    model = build_model(spec, dataset.image_size, dataset.num_classes)
    save_checkpoint(folder / "checkpoint.pt", Checkpoint(model.state_dict(), {}, provenance(spec)))
    words = ["export", "--checkpoint", str(folder / "checkpoint.pt"), "--out", "backbone.pt"]
    assert main(words) == 0
    return model.backbone.eval(), dataset, capsys.readouterr().out


@pytest.mark.parametrize(
    ("stream", "data", "backbone"),
    [
        ("imagenet100-class5", {}, {"name": "resnet18", "settings": {}}),
        ("cifar100-class5", {}, {"name": "resnet18", "settings": {}}),
        (
            "cifar100-class5",
            {"cifar100": {"statistics": "original"}},
            {"name": "resnet18", "settings": {"stem_padding": 2}},
        ),
        ("digits-domain5", {}, {"name": "conv3", "settings": {}}),
    ],
)
def test_the_printed_lines_make_the_same_network(stream, data, backbone, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own, dataset, code = exported(tmp_path, stream, data, backbone, capsys)
    names = {}
    exec(code, names)
    images = torch.rand(2, 3, dataset.image_size, dataset.image_size)
    torch.testing.assert_close(names["network"](images), own(images))
    assert names["mean"].shape == names["std"].shape == (3, 1, 1)
    assert names["mean"].flatten().tolist() == pytest.approx(dataset.mean)
    assert names["std"].flatten().tolist() == pytest.approx(dataset.std)


def test_the_readme_shows_what_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = {"cifar100": {"statistics": "original"}}
    backbone = {"name": "resnet18", "settings": {"stem_padding": 2}}
    _, _, code = exported(tmp_path, "cifar100-class5", data, backbone, capsys)
    assert f"```python\n{code}```" in README
