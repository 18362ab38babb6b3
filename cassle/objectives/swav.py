"""SwAV: predict which prototypes the other view of an image is assigned to (Caron et al. 2020, 2006.09882)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import Prototypes, mlp
from cassle.objectives.base import Moment, Objective, TaskStart, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int, present: Tensor | None = None) -> Tensor:
    """Return soft assignments (B, K) that use all prototypes alike, Eq. 3 to 5 of the paper (Cuturi 2013, 1306.0895).

    ``scores`` (B, K). Starting from exp(scores / epsilon), each of the ``iterations`` (1 or more) rescales every column
    to the total B / K and then every row to 1. Rows where ``present`` (B,) is false weigh nothing in the columns. This
    is done to logarithms, in single precision at least, so that no score is too large.
    """
    logits = scores.to(torch.promote_types(scores.dtype, torch.float32)) / epsilon
    row = torch.zeros_like(logits[:, :1])
    for _ in range(iterations):
        if present is not None:
            row = row.masked_fill(~present[:, None], -torch.inf)
        # the totals B / K and 1 are factors common to all columns, which the rows take away again
        column = -torch.logsumexp(logits + row, dim=0)
        row = -torch.logsumexp(logits + column, dim=1, keepdim=True)
    return (logits + column + row).exp()


def swav_loss(scores: Sequence[Tensor], assignments: Sequence[Tensor], temperature: float) -> Tensor:
    """Return the swapped prediction loss, Eq. 2 of the paper, averaged over ordered pairs of views.

    ``scores`` and ``assignments``: (N, K) per view; the first views are assigned, perhaps not all. For each assigned
    view i and each view j other than i: the mean over images of -sum over k of a_i log softmax(s_j / temperature).
    """
    pairs = [(i, j) for i in range(len(assignments)) for j in range(len(scores)) if i != j]
    return torch.stack([F.cross_entropy(scores[j] / temperature, assignments[i]) for i, j in pairs]).mean()


class SwAVSettings(Options):
    """Hyper-parameters of SwAV."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    num_prototypes: int = Field(3000, gt=0, description="prototypes that images are assigned to")
    prototypes: Literal["normalized", "free"] = Field(
        "normalized", description="prototypes of length 1, or each of a learned length (original)"
    )
    temperature: float = Field(0.1, gt=0, description="temperature of the predicted assignment")
    sk_epsilon: float = Field(0.05, gt=0, description="smoothness of the target assignment")
    sk_iters: int = Field(3, gt=0, description="iterations of Sinkhorn's algorithm")
    queue_size: int = Field(3840, ge=0, description="past projections kept per view to assign along with the batch")
    epoch_queue_starts: int = Field(15, ge=0, description="epoch of a task, from 0, from which the queue is used")
    freeze_prototypes_epochs: int = Field(1, ge=0, description="first epochs of a task in which prototypes stay")


@objectives.register("swav")
class SwAV(Objective[SwAVSettings]):
    """Prototypes on normalized projections; they carry over to the next task, the queues restart.

    ``queue`` (2, Q, D): unit rows, the latest first; queue v holds projections of view v, and zeros where it is empty.
    """

    title = "SwAV"
    Settings = SwAVSettings
    original: ClassVar[Mapping[str, Any]] = {"prototypes": "free"}
    distillation = "prototypes"
    linear_lr = 0.15
    many_views = True

    queue: Tensor

    def __init__(self, settings: SwAVSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        self.output_dim = settings.output_dim
        self.prototype_sizes = [settings.num_prototypes]
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim])
        self.prototypes = self.new_prototypes()
        self.register_buffer("queue", torch.zeros(2, settings.queue_size, settings.output_dim))
        self.uses_queue = False

    def new_prototypes(self) -> Prototypes:
        """Return random prototypes of the shape and kind of this objective's."""
        return Prototypes(self.output_dim, sum(self.prototype_sizes), self.settings.prototypes == "free")

    def prototype_scores(self, z: Tensor) -> Tensor:
        """Return the scores (B, K) of projections (B, D)."""
        return self.prototypes(F.normalize(z, dim=1))  # type: ignore[no-any-return]

    def predict(self, z: Tensor) -> Tensor:
        """Return the prototype scores of a projection."""
        return self.prototype_scores(z)

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the swapped prediction loss; the assignments of the first two views are its targets."""
        return swav_loss(outputs.p, self.assignments(outputs.p[:2]), self.settings.temperature)

    @torch.no_grad()
    def assignments(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Return the assignment (B, K) of each view from its scores, along with its queue if that is in use."""
        hp = self.settings
        if not self.uses_queue:
            return [sinkhorn(own, hp.sk_epsilon, hp.sk_iters) for own in scores]
        found = []
        for own, past in zip(scores, self.queue, strict=True):
            present = torch.cat([torch.ones_like(own[:, 0], dtype=torch.bool), past.any(dim=1)])
            everything = torch.cat([own, self.prototypes(past)])
            found.append(sinkhorn(everything, hp.sk_epsilon, hp.sk_iters, present)[: len(own)])
        return found

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Put the batch's projections in front of the queues; the oldest rows drop out."""
        latest = torch.stack([F.normalize(z, dim=1) for z in outputs.z[:2]]).to(self.queue.dtype)
        self.queue.copy_(torch.cat([latest, self.queue], dim=1)[:, : self.settings.queue_size])

    def begin_task(self, start: TaskStart) -> None:
        """Empty the queues."""
        self.queue.zero_()

    def begin_epoch(self, moment: Moment) -> None:
        """Decide whether the queues are used yet."""
        self.uses_queue = self.settings.queue_size > 0 and moment.epoch >= self.settings.epoch_queue_starts

    def after_backward(self, moment: Moment) -> None:
        """Discard the gradients of prototypes in the first epochs; weight decay and momentum pass them by, too."""
        if moment.epoch < self.settings.freeze_prototypes_epochs:
            for parameter in self.prototypes.parameters():
                parameter.grad = None
