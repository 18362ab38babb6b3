"""Three whole training steps of every objective, as fine-tuning and as CaSSLe, each compared with the reference."""

import pytest
import torch

from cassle.nets.ema import momentum_tau

from .precision import FLOAT64
from .training import STEPS, StepRow, Training

SIZES = {"hidden_dim": "H", "output_dim": "D"}
OBJECTIVES = [
    StepRow("steps/simclr", name="simclr", settings={**SIZES, "temperature": "temperature"}),
    StepRow("steps/barlow_twins", name="barlow_twins", settings={**SIZES, "lamb": "lamb", "scale_loss": "scale_loss"}),
    StepRow(
        "steps/byol",
        name="byol",
        settings={**SIZES, "pred_hidden_dim": "P", "base_tau": "base_tau", "final_tau": "final_tau"},
    ),
    StepRow("steps/simsiam", name="simsiam", settings={**SIZES, "pred_hidden_dim": "P"}),
    StepRow("steps/supcon", name="supcon", settings={**SIZES, "temperature": "temperature"}),
    StepRow(
        "steps/vicreg",
        name="vicreg",
        settings={**SIZES, **{key: key for key in ("sim_loss_weight", "var_loss_weight", "cov_loss_weight")}},
    ),
    StepRow(
        "steps/mocov2plus",
        name="mocov2plus",
        settings={
            **SIZES,
            "queue_size": "Q",
            "temperature": "temperature",
            "base_tau": "base_tau",
            "final_tau": "final_tau",
        },
        state={"queue": "queue", "queue_ptr": "pointer"},
    ),
    StepRow(
        "steps/swav",
        name="swav",
        settings={
            **SIZES,
            "num_prototypes": "K",
            "prototypes": lambda hp: "free",
            "temperature": "temperature",
            "sk_epsilon": "sk_epsilon",
            "sk_iters": "sk_iters",
            "queue_size": "Q",
            "epoch_queue_starts": lambda hp: int(not hp["use_queue"]),
            "freeze_prototypes_epochs": lambda hp: int(hp["freeze_prototypes"]),
        },
        state={"queue": "queue"},
    ),
]


@pytest.fixture
def training(row, case, golden, precision):
    return Training(row, case, golden(row.file)["shared"], precision.dtype)


@pytest.mark.golden(*OBJECTIVES)
def test_steps_equal_the_reference(training, case, precision):
    for index in range(STEPS):
        record, expected = training.step(index), case.under(f"step{index}.")
        compare_forward(record, expected, index, precision)
        compare_gradients(record, expected, case, index, precision)
        if "tau" in expected:
            tau = momentum_tau(case.hp["base_tau"], case.hp["final_tau"], training.moves - 1, case.hp["max_steps"])
            FLOAT64.equal(tau, expected["tau"], f"tau of step {index}")
        after = {key.removeprefix("after."): value for key, value in expected.items() if key.startswith("after.")}
        assert after.keys() <= record.after.keys()
        for name in sorted(after, key=order):
            precision.equal_on_scale(record.after[name], after[name], f"{name} after step {index}")


@pytest.mark.golden(*OBJECTIVES)
def test_steps_change_no_tensor_that_the_reference_keeps(training, case):
    before = {name: tensor.detach().clone() for name, tensor in training.named.items()}
    records = [training.step(index) for index in range(STEPS)]
    kept = training.named.keys() - {key.removeprefix("step0.after.") for key in case.values}
    assert all(name.startswith("teacher.") and "running_" not in name for name in kept)
    if case.meta["teacher_bn"] == "eval":
        kept |= {name for name in training.named if name.startswith("teacher.")}
    for name in sorted(kept | set(case.meta["no_grad"])):
        assert torch.equal(records[-1].after[name], before[name]), name


@pytest.mark.golden(*OBJECTIVES)
def test_every_parameter_is_in_one_group_with_the_rates_of_the_reference(training, case):
    found = {id(p): group for group in training.optimizer.param_groups for p in group["params"]}
    expected = {name: group for group in case.meta["param_groups"] for name in group["parameters"]}
    trained = expected.keys() - set(case.meta["no_grad"])
    assert {name for name, tensor in training.named.items() if id(tensor) in found} >= trained
    assert len(found) <= len(expected)
    for name in trained:
        group = found[id(training.named[name])]
        for key in ("lr", "weight_decay", "momentum"):
            assert group[key] == pytest.approx(expected[name][key], rel=1e-12), f"{key} of {name}"


def order(name):
    """Running statistics, weights, queues, then the momentum network: an earlier error explains a later one."""
    return name.startswith("momentum."), "." not in name, "running_" not in name, name


def compare_forward(record, expected, index, precision):
    """Compare each module's outputs, view 1 before view 2 in passes of their own, and then the losses."""
    outputs = {key.removeprefix("out."): value for key, value in expected.items() if key.startswith("out.")}
    for key in sorted(outputs, key=lambda key: not key.startswith("teacher.")):
        place, _, view = key.rpartition(".view")
        assert len(record.forward[place]) == 2, f"{place} ran {len(record.forward[place])} times"
        precision.equal_on_scale(record.forward[place][int(view) - 1], outputs[key], f"{key} in step {index}")
    scalars = {key: expected[key] for key in ("ssl", "distill", "total") if key in expected}
    assert scalars.keys() == record.scalars.keys()
    for name, value in scalars.items():
        precision.equal_on_scale(record.scalars[name], value, f"{name} of step {index}")


def compare_gradients(record, expected, case, index, precision):
    """Compare every gradient; without one in the reference, it is None or exactly zero."""
    gradients = {key.removeprefix("grad."): value for key, value in expected.items() if key.startswith("grad.")}
    for name, gradient in record.gradients.items():
        if name in gradients:
            assert gradient is not None, f"{name} has no gradient"
            precision.equal_on_scale(gradient, gradients[name], f"gradient of {name} in step {index}")
        else:
            assert gradient is None or not gradient.any(), f"{name} has a gradient"
    assert gradients.keys() <= record.gradients.keys()
