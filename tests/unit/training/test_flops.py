"""Operations and bytes: counted by hand where that can be done, and equal to a published count."""

from pathlib import Path

import pytest

from cassle.contracts.specs import Component
from cassle.cost.estimate import cost_of_training
from cassle.objectives.base import objectives
from cassle.plan import resolve
from cassle.plan.sources import RECIPES
from cassle.settings.reading import read_study, read_yaml
from cassle.training.build import build_model, build_strategy
from cassle.training.flops import forward_flops, step_cost, training_flops
from tests.unit.specs import train_specs

PAPER = RECIPES.parent / "paper"
RESNET = Component(name="resnet18", settings={"stem_padding": 2})


def specs(objective, strategy, **changes):
    """The specifications of the first and the second task of a run on digits."""
    return train_specs(stream="digits-domain2", objective=objective, strategy=strategy, **changes)


def test_a_cassle_task_on_cifar_costs_11_58_gigaflops_per_image_and_a_plan_adds_the_clean_one():
    """Barlow Twins in the study of the paper; 8.57 in the first task, which has no teacher."""
    made = resolve(read_study(read_yaml(PAPER / "cifar100_methods.yaml")))
    for folder, gigaflops in (("first/seed0/task0", 8.57), ("cassle~teacher_batchnorm=batch/seed0/task1", 11.58)):
        stream, objective = "cifar100-class5~statistics=original", "barlow_twins~online_batch=shared"
        job = made.train[f"results/{stream}/resnet18~stem_padding=2/{objective}/{folder}"]
        step = step_cost(job.spec, 32, 100).flops
        assert step == pytest.approx(gigaflops * 1e9, rel=0.02)
        planned = cost_of_training(job, Path("nothing is prepared"))
        assert planned.flops / planned.images == pytest.approx(step + forward_flops(RESNET, 32))


def test_a_forward_pass_is_counted_layer_by_layer():
    # conv3-narrow on 16 pixels: 3x3 convolutions 3->8 at 16x16, 8->16 at 8x8, 16->32 at 4x4
    by_hand = 2 * 9 * (3 * 8 * 256 + 8 * 16 * 64 + 16 * 32 * 16)
    assert forward_flops(Component(name="conv3-narrow", settings={}), 16) == by_hand
    assert forward_flops(RESNET, 32) == pytest.approx(1.407e9, rel=1e-3)


def test_a_training_costs_its_steps_and_a_clean_image_for_the_online_classifier():
    spec = specs("simclr", "cassle", backbone="conv3-narrow")[1]
    clean = training_flops(spec, 16, 10) - step_cost(spec, 16, 10).flops
    assert clean == pytest.approx(2 * 9 * (3 * 8 * 16**2 + 8 * 16 * 8**2 + 16 * 32 * 4**2), rel=1e-9)


def test_a_first_task_costs_the_same_for_every_strategy_and_a_teacher_costs_something():
    assert step_cost(specs("simclr", "cassle")[0], 16, 10) == step_cost(specs("simclr", "finetune")[0], 16, 10)
    tuned, distilled = (step_cost(specs("simclr", name)[1], 16, 10) for name in ("finetune", "cassle"))
    assert distilled.flops > tuned.flops
    assert distilled.checkpoint_bytes > tuned.checkpoint_bytes


@pytest.mark.parametrize(
    ("strategy", "held", "share"), [("er", 500, 2), ("er", 16, 1.25), ("der", 32, 1.5), ("lump", 500, 1)]
)
def test_replayed_images_cost_as_much_as_own_ones_once_there_are_any(strategy, held, share):
    chosen = {"name": strategy, "buffer_size": held}
    replayed, plain = (specs("simclr", choice, training={"batch_size": 64}) for choice in (chosen, "finetune"))
    first, second = (
        step_cost(r, 16, 10).flops / step_cost(p, 16, 10).flops for r, p in zip(replayed, plain, strict=True)
    )
    assert (first, second) == (1, pytest.approx(share))


@pytest.mark.parametrize("strategy", ["finetune", "cassle"])
def test_a_checkpoint_takes_the_bytes_of_its_tensors(strategy):
    spec = specs("byol", strategy, backbone="conv3-narrow")[1]
    model = build_model(spec, 16, 10)
    held = [*model.state_dict().values(), *build_strategy(spec, model).state_dict().values()]
    assert step_cost(spec, 16, 10).checkpoint_bytes == sum(tensor.nbytes for tensor in held)


def test_more_and_smaller_views_cost_more_and_less():
    plain = step_cost(specs("simclr", "cassle")[1], 16, 10).flops
    crops = step_cost(specs("simclr", "cassle", training={"views": "multicrop"})[1], 16, 10).flops
    assert 2 * plain < crops < 4 * plain


@pytest.mark.parametrize("objective", objectives.names())
def test_every_objective_is_counted_without_storage(objective):
    assert all(step_cost(spec, 16, 10).flops > 1e6 for spec in specs(objective, "cassle", backbone="conv3-narrow"))
