"""Cases that must have the same result in one process and in two; each is called without arguments in either.

A case works on the same global batch wherever it runs, and returns named tensors: losses, gradients averaged over
processes, and what is left in buffers.
"""

from functools import partial

import torch
from torch import nn

from cassle.contracts.specs import Component, NetworkSpec
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.batchnorm import synchronize
from cassle.objectives.base import Moment, TaskStart, objectives
from cassle.runtime.distributed import (
    RankShard,
    all_reduce_max,
    all_reduce_sum,
    broadcast_from_first,
    gather,
    rank,
    size,
)
from cassle.strategies.base import Strategy, strategies
from cassle.strategies.compose import resolve_strategy
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy
from cassle.training.step import training_step
from tests.pair import as_one_of_a_pair

BATCH, SIDE, CLASSES = 16, 8, 3
GROUPS = ("global", 8)
OWN = [name for name in strategies.names() if strategies.get(name).__module__.startswith("cassle.")]
ADDED = [("pnr", 8), ("lump", 4), *((name, "global") for name in OWN if name not in ("cassle", "finetune"))]
"""Strategies and the groups that losses of SimCLR are cut into; LUMP leaves the own rows, half of the batch."""
SMALL = {
    "hidden_dim": 12,
    "output_dim": 6,
    "pred_hidden_dim": 8,
    "num_prototypes": 5,
    "queue_size": 24,
    "epoch_queue_starts": 0,
    "whitening_size": 8,
}
SPECIAL = {"deepclusterv2": {"num_prototypes": [4, 3]}, "supervised": {"projector": "mlp"}}


def small(name: str) -> dict:
    """Settings that make an objective small."""
    fields = objectives.get(name).Settings.model_fields
    return {key: value for key, value in SMALL.items() if key in fields} | SPECIAL.get(name, {})


OBJECTIVES = {name: small(name) for name in objectives.names() if objectives.get(name).__module__.startswith("cassle.")}


def averaged(module: nn.Module) -> dict:
    return {name: all_reduce_sum(p.grad) / size() for name, p in module.named_parameters() if p.grad is not None}


def task(objective: str, name: str, batchnorm: str) -> tuple[Model, Strategy, Teacher | None]:
    """Model, strategy with a memory of all images, and teacher of a second task, in double precision."""
    spec = NetworkSpec(
        seed=0,
        backbone=Component(name="conv3-narrow", settings={}),
        objective=Component(name=objective, settings=OBJECTIVES[objective]),
        strategy=None,
    )
    model, previous = (build_model(spec.model_copy(update={"seed": seed}), SIDE, CLASSES) for seed in (0, 1))
    given = {}
    if name in ("cassle", "pnr"):
        form = {"hidden_dim": 10, **({"eps": 0.1} if objective == "wmse" else {})}
        given = {"teacher_batchnorm": batchnorm, "distillation": form}
    settings = resolve_strategy(name, given, type(model.objective))
    strategy = build_strategy(spec.model_copy(update={"strategy": Component(name=name, settings=settings)}), model)
    teacher = Teacher(previous, batchnorm) if strategy.teacher_batchnorm else None
    for module in filter(None, (model, strategy, teacher)):
        module.double()
    if name == "ewc":
        size = strategy.size
        strategy.load_memory(
            {"fisher": torch.linspace(0, 1, size).double(), "center": torch.linspace(-1, 1, size).double()}
        )
    if strategy.replays:
        outputs = torch.linspace(-1, 1, 50 * model.backbone.feature_dim, dtype=torch.float64).view(50, -1)
        strategy.load_memory({"positions": torch.arange(50), "outputs": outputs})
    synchronize(model, strategy, teacher)
    return model, strategy, teacher


def steps(objective: str, group: int | str = "global", strategy: str = "cassle", batchnorm: str = "frozen") -> dict:
    """Two training steps without an optimizer; the second sees the queues and centers that the first has left."""
    model, added, teacher = task(objective, strategy, batchnorm)
    draws = torch.Generator().manual_seed(5)
    features = torch.randn(40, model.backbone.feature_dim, generator=draws, dtype=torch.float64)
    model.objective.begin_task(TaskStart(1, 0, lambda: (torch.arange(40), features)))
    model.objective.begin_epoch(Moment(0, 0, 1, 4))
    own = BATCH // 2 if strategy == "lump" else BATCH - 4
    shard, found = RankShard(own, BATCH - own), {}
    for step in range(2):
        views = [torch.randn(shard.count, 3, SIDE, SIDE, generator=draws, dtype=torch.float64) for _ in range(2)]
        index = torch.randperm(50, generator=draws)[: shard.count]
        batch = Batch(
            index=shard.take(index),
            images=torch.zeros(shard.count // size(), 3, 1, 1, dtype=torch.uint8),
            labels=shard.take(index % CLASSES),
            task=1,
            is_replay=shard.take(torch.arange(shard.count) >= own),
            generator=torch.Generator().manual_seed(step),
            replayed=shard.replayed // size(),
            shard=shard,
        )

        def draw_views(part, views=views):
            rows = slice(own, None) if part.replayed else slice(0, own)
            return [part.shard.take(view[rows]) for view in views]

        losses, _ = training_step(batch, draw_views, model, added, teacher, group)
        model.zero_grad(), added.zero_grad()
        losses.total.backward()
        found |= {f"loss {step}": losses.objective, f"total {step}": all_reduce_sum(losses.total.detach()) / size()}
        for part, module in (("model", model), ("strategy", added)):
            found |= {f"{part} {step} {name}": gradient for name, gradient in averaged(module).items()}
        model.objective.after_step(model.backbone, Moment(0, step, 1, 4))
    for module in filter(None, (model, teacher)):
        found |= {f"{type(module).__name__} {name}": value for name, value in module.named_buffers()}
    return found


class NarrowTail(nn.Module):
    """A convolution, BatchNorm under test, and a weighting that gives every place another gradient."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 4))
        self.norm = norm

    def forward(self, x):
        shape = (1, -1, *[1] * (x.ndim - 2))
        return self.norm(x * self.scale.to(x.dtype).view(shape))


def batchnorm(
    kind: type, shape: tuple[int, ...], dtype: torch.dtype = torch.float64, mean: float = 100, **settings
) -> dict:
    """Forward, backward and running statistics of BatchNorm, of inputs far from zero so that digits could get lost."""
    draws, shard = torch.Generator().manual_seed(1), RankShard(8)
    x = mean + torch.randn(8, 4, *shape, generator=draws, dtype=torch.float64)
    weights = torch.randn(8, 4, *shape, generator=draws, dtype=torch.float64)
    module = NarrowTail(kind(4, **settings)).to(dtype if dtype == torch.float64 else torch.float32)
    synchronize(module)
    found = {}
    for step in range(2):
        own = shard.take(x + step).to(dtype).requires_grad_()
        made = module(own)
        module.zero_grad()
        (made * shard.take(weights).to(dtype)).sum().backward()
        # a sum of local losses: the mean that DDP takes of gradients is half of their sum
        found |= {f"{step} {name}": gradient * size() for name, gradient in averaged(module).items()}
        found |= {f"made {step}": gather(made.detach()), f"gradient {step}": gather(own.grad)}
    found |= dict(module.named_buffers())
    module.eval()
    return {**found, "eval": gather(module(shard.take(x).to(dtype)).detach())}


def exchange() -> dict:
    """What processes can tell each other."""
    shard = RankShard(4, 2)
    rows = torch.arange(6.0, dtype=torch.float64)[:, None] * torch.ones(3, dtype=torch.float64)
    own = shard.take(rows).clone().requires_grad_()
    wide, narrow = shard.gather_many([own, own[:, :1] ** 2])
    ((wide * rows).sum() + narrow.sum()).backward()
    same = torch.tensor(rank())
    broadcast_from_first([same])
    return {
        "wide": wide.detach(),
        "narrow": narrow.detach(),
        "gradient": shard.gather(own.grad) / size(),
        "agreed": torch.tensor(all_reduce_max(3 - rank())),
        "same": same,
    }


CASES = {f"{objective}, {group}": partial(steps, objective, group) for objective in OBJECTIVES for group in GROUPS}
CASES |= {f"{strategy}, {group}": partial(steps, "simclr", group, strategy) for strategy, group in ADDED}
CASES |= {
    "byol, teacher with statistics of the batch": partial(steps, "byol", batchnorm="batch"),
    "batchnorm 1d": partial(batchnorm, nn.BatchNorm1d, ()),
    "batchnorm 2d": partial(batchnorm, nn.BatchNorm2d, (3, 2)),
    "batchnorm without weights": partial(batchnorm, nn.BatchNorm1d, (), affine=False),
    "batchnorm averaging all": partial(batchnorm, nn.BatchNorm1d, (), momentum=None),
    "batchnorm float32": partial(batchnorm, nn.BatchNorm2d, (3, 2), torch.float32),
    "batchnorm bfloat16": partial(batchnorm, nn.BatchNorm2d, (3, 2), torch.bfloat16, mean=1),
    "exchange": exchange,
}

if __name__ == "__main__":
    as_one_of_a_pair(lambda: {name: case() for name, case in CASES.items()})
