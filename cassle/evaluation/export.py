"""A trained backbone for use elsewhere: its tensors alone, and the lines of Python that take them."""

from __future__ import annotations

import json
from pathlib import Path

from cassle.core.files import save_tensors
from cassle.core.options import parse
from cassle.models.checkpoints import load_checkpoint
from cassle.nets.base import backbones

PREFIX = "backbone."


def export_backbone(checkpoint: Path, out: Path) -> str:
    """Write a checkpoint's backbone as a plain state dict and return Python code that loads it and prepares images.

    Raises `CheckpointError` for a file that is no checkpoint, `SettingsError` for a backbone or a dataset of a plugin
    that is not loaded.
    """
    held = load_checkpoint(checkpoint)
    spec = held.provenance.spec
    dataset = spec.stream.open({})
    name, side = spec.backbone.name, dataset.image_size
    kind = backbones.get(name)
    settings = parse(kind.Settings, spec.backbone.settings, f"backbone {name}")
    lines = [
        "import torch",
        kind.as_code(name, side, settings),
        f"network.load_state_dict(torch.load({json.dumps(str(out))}, weights_only=True))",
        "network.eval()",
        f"# images (B, 3, {side}, {side}), RGB from 0 to 1, normalized as (images - mean) / std",
        f"mean = torch.tensor({list(dataset.mean)}).view(3, 1, 1)",
        f"std = torch.tensor({list(dataset.std)}).view(3, 1, 1)",
    ]
    save_tensors(out, {key.removeprefix(PREFIX): held.model[key] for key in held.model if key.startswith(PREFIX)})
    return "\n".join(lines)
