"""The classifier that was trained beside the network, on detached features of labeled images of all tasks."""

from __future__ import annotations

from torch import Tensor

from cassle.core.errors import CheckpointError
from cassle.evaluation.base import Evaluation, Probe, probes


@probes.register("online")
class Online(Probe):
    """Read from the checkpoint, so that a network which was never trained has none."""

    def scores(self, data: Evaluation) -> Tensor:
        """Return its logits; `CheckpointError` if it was trained on other classes, or never."""
        if data.online is None:
            raise CheckpointError("probe online: this file holds no online classifier; leave that probe out")
        if data.online.out_features != data.num_classes:
            raise CheckpointError(
                f"probe online: the checkpoint's classifier knows {data.online.out_features} classes, the dataset "
                f"has {data.num_classes}; leave that probe out, or evaluate on the dataset it was trained on"
            )
        logits: Tensor = data.online(data.test.features)
        return logits

    @property
    def needs_training(self) -> bool:
        """True."""
        return True
