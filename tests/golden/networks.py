"""The small network of the golden training steps, built from components of the project."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cassle.core.options import parse
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.base import Backbone
from cassle.objectives.base import objectives
from cassle.strategies.base import Strategy
from cassle.strategies.cassle import Cassle


class TinyBackbone(Backbone):
    """Convolution 3x3, BatchNorm, ReLU, mean over the map, linear layer: images (B, 3, I, I) to features (B, F)."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(8, None)
        self.conv = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, features)
        self.feature_dim = features

    def stages(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        maps = self.bn(self.conv(images)).relu()
        return [maps], self.linear(maps.mean(dim=(2, 3)))


def tiny_model(objective: str, settings: Mapping[str, Any], channels: int = 4, features: int = 8) -> Model:
    """Return a model of a registered objective on the small backbone, in training mode."""
    backbone = TinyBackbone(channels, features)
    kind = objectives.get(objective)
    return Model(backbone, kind(parse(kind.Settings, settings, "golden"), backbone, 4), 4)


def cassle_strategy(model: Model, settings: Mapping[str, Any]) -> Cassle:
    """Return CaSSLe for a model, its settings completed as those of a run are."""
    return Cassle(parse(Cassle.Settings, Cassle.resolve(dict(settings), type(model.objective)), "golden"), model)


def modules(model: Model, strategy: Strategy, teacher: Teacher | None) -> dict[str, nn.Module]:
    """Return the modules by the names golden files have for them: ``student.projector``, ``distiller.predictor``."""
    owners: list[tuple[str, nn.Module]] = [("student", model), ("student", model.objective)]
    momentum = getattr(model.objective, "momentum", None)
    if momentum is not None:
        owners.append(("momentum", momentum))
    if teacher is not None:
        owners += [("teacher", teacher), ("teacher", teacher.objective)]
    if isinstance(strategy, Cassle):
        owners.append(("distiller", strategy.distillation))
    found = {}
    for role, owner in owners:
        for part in ("backbone", "projector", "predictor", "prototypes"):
            unused = role == "teacher" and part == "predictor"
            if not unused and isinstance(module := getattr(owner, part, None), nn.Module):
                found[f"{role}.{part}"] = module
    return found


def tensors(found: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return parameters and running statistics by golden name, such as ``student.projector.bn1.weight``."""
    named = {}
    for place, module in found.items():
        for layer, part in _layers(module).items():
            for name, tensor in part.state_dict(keep_vars=True).items():
                if name != "num_batches_tracked":
                    named[".".join(filter(None, (place, layer, name)))] = tensor
    return named


def _layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return layers by golden name: ``linear<k>`` and ``bn<k>`` counted from 1 in a head, own names elsewhere."""
    if not isinstance(module, nn.Sequential):
        return dict(module.named_children()) or {"": module}
    found: dict[str, nn.Module] = {}
    for kind, name in ((nn.Linear, "linear"), (nn.BatchNorm1d, "bn")):
        layers = [layer for layer in module.modules() if isinstance(layer, kind)]
        found |= {f"{name}{number}": layer for number, layer in enumerate(layers, start=1)}
    return found


@torch.no_grad()
def fill(named: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Set every tensor to its start value; other values of the file are not used."""
    for name, tensor in named.items():
        assert tensor.shape == values[name].shape, f"{name}: the file has {tuple(values[name].shape)}"
        tensor.copy_(values[name])
