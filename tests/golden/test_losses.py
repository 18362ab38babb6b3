"""Pure losses of the objectives, with the gradient of every input: zero where a gradient is stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor

from cassle.objectives.barlow_twins import barlow_loss
from cassle.objectives.byol import byol_loss
from cassle.objectives.simclr import simclr_loss
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model

Values = dict[str, Any]


@dataclass(frozen=True)
class Loss(Row):
    """``compute`` maps inputs and hyper-parameters to the loss, or to a mapping of ``loss`` and further outputs."""

    compute: Callable[[Values, Values], Tensor | Values] = lambda x, hp: {}


def byol_step(x: Values, hp: Values) -> Tensor:
    """The objective's own loss, which sums two directions."""
    outputs = Outputs([], [x["z1"], x["z2"]], [x["p1"], x["p2"]], [x["z1_momentum"], x["z2_momentum"]])
    objective = tiny_model("byol", {"hidden_dim": 2, "output_dim": 2, "pred_hidden_dim": 2}).objective
    return objective.loss(outputs, None)


LOSSES = [
    Loss("simclr", ("z1", "z2"), lambda x, hp: simclr_loss(x["z1"], x["z2"], hp["temperature"])),
    Loss("barlow", ("z1", "z2"), lambda x, hp: barlow_loss(x["z1"], x["z2"], hp["lamb"], hp["scale_loss"])),
    Loss("byol", ("p", "z"), lambda x, hp: byol_loss(x["p"], x["z"])),
    Loss("byol", ("p1", "p2", "z1_momentum", "z2_momentum"), byol_step),
]


@pytest.mark.golden(*LOSSES)
def test_loss_and_gradients_equal_the_reference(row, case, precision):
    inputs = case.inputs(precision.dtype)
    leaves = {name: value.requires_grad_() for name, value in inputs.items() if f"grad_{name}" in case}
    result = row.compute(inputs, case.hp)
    outputs = result if isinstance(result, dict) else {"loss": result}
    for name, value in outputs.items():
        precision.equal(value, precision.expected(case, name), name)
    precision.equal_gradients(outputs["loss"], leaves, case)
