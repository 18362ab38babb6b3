"""The step: which hook sees what, in which order, and what comes out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.strategies.base import Strategy
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs
from cassle.training.step import training_step, views_of


def batch(count=3, task=1):
    index = torch.arange(count)
    images = torch.arange(count * 12, dtype=torch.uint8).reshape(count, 3, 2, 2)
    return Batch(index, images, index % 2, task, torch.zeros(count, dtype=torch.bool), torch.Generator())


class Recorder(Strategy):
    """A strategy that marks what passes through it, and tells what it was called with."""

    def __init__(self, said, penalty=None, uses_maps=False, asks=0):
        super().__init__(Options(), None)
        self.said, self.weight, self.uses_maps, self.asks = said, penalty, uses_maps, asks

    def mix_views(self, views, batch):
        self.said.append(("mix_views", [view.item() for view in views], batch.index.tolist()))
        return [view * 10 for view in views], replace(batch, index=batch.index + 70)

    def penalty(self, step):
        self.said.append(("penalty", step.batch.index.tolist()))
        self.step = step
        self.with_teacher = [step.teacher_outputs for _ in range(self.asks)]
        return None if self.weight is None else self.weight * step.outputs.z[0]


class RecordingModel:
    """A model whose one weight is 3: z of a view is 3 times the view, and the loss is the sum over views."""

    def __init__(self, said):
        self.said = said
        self.weight = torch.tensor(3.0, requires_grad=True)
        self.objective = SimpleNamespace(loss=self.loss, after_loss=self.after_loss)

    def __call__(self, views, maps):
        self.said.append(("model", [view.item() for view in views], maps))
        self.outputs = Outputs(views, [self.weight * view for view in views])
        return self.outputs

    def loss(self, outputs, batch):
        self.said.append(("loss", outputs is self.outputs, batch.index.tolist()))
        return torch.stack(outputs.z).sum()

    def after_loss(self, outputs, batch):
        self.said.append(("after_loss", outputs is self.outputs, batch.index.tolist(), torch.is_grad_enabled()))


class RecordingTeacher:
    def __init__(self):
        self.calls = []

    def __call__(self, views):
        self.calls.append([view.item() for view in views])
        return Outputs(views, [view + 1 for view in views])


@pytest.fixture
def said():
    return []


@pytest.fixture
def run(said):
    """Function that makes one step of a strategy on two views, 1 and 2, and returns everything about it."""

    def step(teacher=None, **options):
        model, strategy = RecordingModel(said), Recorder(said, **options)

        def draw_views(batch):
            said.append(("draw", batch.index.tolist()))
            return [torch.tensor(1.0), torch.tensor(2.0)]

        losses, made = training_step(batch(), draw_views, model, strategy, teacher)
        return SimpleNamespace(losses=losses, step=made, model=model, strategy=strategy)

    return step


def test_views_are_drawn_then_blended_and_all_else_sees_what_became_of_them(run, said):
    run(penalty=1.0)
    rows = [70, 71, 72]
    assert said == [
        ("draw", [0, 1, 2]),
        ("mix_views", [1.0, 2.0], [0, 1, 2]),
        ("model", [10.0, 20.0], False),
        ("loss", True, rows),
        ("penalty", rows),
        ("after_loss", True, rows, False),
    ]


def test_plain_fine_tuning_adds_nothing(said):
    model, given = RecordingModel(said), batch()
    losses, step = training_step(given, lambda batch: [torch.tensor(1.0)], model, Strategy(Options(), None), None)
    assert step.batch is given
    assert losses.penalty is None
    assert losses.total.item() == losses.objective.item() == 3.0


@pytest.mark.parametrize("uses_maps", [False, True])
def test_stage_maps_are_asked_for_by_the_strategy(run, said, uses_maps):
    run(uses_maps=uses_maps)
    assert ("model", [10.0, 20.0], uses_maps) in said


def test_the_penalty_sees_what_the_losses_are_computed_from(run):
    teacher = RecordingTeacher()
    done = run(teacher, penalty=1.0)
    step = done.strategy.step
    assert step is done.step
    assert step.model is done.model
    assert step.outputs is done.model.outputs
    assert step.teacher is teacher
    assert [view.item() for view in step.views] == [10.0, 20.0]


def test_the_total_is_the_objective_plus_the_penalty_with_the_gradient_of_both(run):
    done = run(penalty=0.5)
    # With weight w = 3 and views 10 and 20: objective (10 + 20) w, penalty 0.5 * 10 w.
    assert done.losses.objective.item() == 30 * 3
    assert done.losses.penalty.item() == 5 * 3
    assert done.losses.total.item() == 35 * 3
    done.losses.total.backward()
    assert done.model.weight.grad.item() == 35


def test_without_a_penalty_the_total_is_the_objective(run):
    done = run()
    assert done.losses.penalty is None
    assert done.losses.total.item() == done.losses.objective.item() == 90
    done.losses.total.backward()
    assert done.model.weight.grad.item() == 30


def test_only_the_total_carries_a_gradient(run):
    losses = run(penalty=0.5).losses
    assert losses.total.requires_grad
    assert not losses.objective.requires_grad
    assert not losses.penalty.requires_grad


@pytest.mark.parametrize(("asks", "calls"), [(0, 0), (1, 1), (3, 1)])
def test_the_teacher_runs_once_and_only_when_asked_for(run, asks, calls):
    teacher = RecordingTeacher()
    done = run(teacher, penalty=1.0, asks=asks)
    assert teacher.calls == [[10.0, 20.0]] * calls
    assert all(outputs is done.strategy.with_teacher[0] for outputs in done.strategy.with_teacher)


def test_asking_for_a_teacher_that_is_not_there_is_an_error(run):
    with pytest.raises(RuntimeError, match="this step has no teacher: the strategy did not ask for one, or this is"):
        run(teacher=None, asks=1)


def test_each_step_asks_its_own_teacher():
    teacher = RecordingTeacher()
    steps = [Step(batch(), [torch.tensor(float(view))], None, Outputs([], []), teacher) for view in (1, 2)]
    assert [step.teacher_outputs.z[0].item() for step in steps] == [2.0, 3.0]
    assert teacher.calls == [[1.0], [2.0]]


def joined(own=2, replayed=3):
    """A batch of own rows 0, 1, ... and replayed rows behind them."""
    whole = batch(own + replayed)
    return replace(whole, is_replay=torch.arange(own + replayed) >= own, replayed=replayed)


def test_a_batch_falls_into_own_and_replayed_rows():
    own, replayed = joined(2, 3).parts()
    assert own.index.tolist() == own.labels.tolist() == [0, 1]
    assert replayed.index.tolist() == [2, 3, 4]
    assert (own.is_replay.tolist(), replayed.is_replay.tolist()) == ([False] * 2, [True] * 3)
    assert (own.replayed, replayed.replayed) == (0, 3)
    assert torch.equal(torch.cat([own.images, replayed.images]), joined(2, 3).images)


def draws(rows):
    """Two views that are random numbers, one per row."""
    return [torch.rand(len(rows.index), generator=rows.generator) for _ in range(2)]


def test_own_views_do_not_depend_on_what_is_replayed():
    alone, beside = views_of(batch(4), draws), views_of(joined(4, 3), draws)
    assert all(torch.equal(view[:4], own) for own, view in zip(alone, beside, strict=True))
    assert all(len(view) == 7 for view in beside)


def test_replaying_leaves_the_generator_where_it_would_be_without():
    alone, beside = batch(4), joined(4, 3)
    views_of(alone, draws), views_of(beside, draws)
    assert torch.equal(alone.generator.get_state(), beside.generator.get_state())


def test_views_of_replayed_rows_are_drawn_anew_for_every_batch():
    seeds = [torch.Generator().manual_seed(seed) for seed in (1, 2, 2)]
    one, two, same = (views_of(replace(joined(), generator=seed), draws)[0][2:] for seed in seeds)
    assert not torch.equal(one, two)
    assert torch.equal(two, same)


class Numbers:
    """An objective whose loss is the variance of z plus the mean label of the rows that it is given."""

    def __init__(self):
        self.moved = []

    def loss(self, outputs, batch):
        return outputs.z[0].var() + batch.labels.double().mean()

    def after_loss(self, outputs, batch):
        self.moved.append((len(outputs.z[0]), batch.index.tolist()))


class NumbersModel:
    def __init__(self):
        self.objective = Numbers()

    def __call__(self, views, maps):
        return Outputs(views, [view[:, None] for view in views])


def test_a_loss_in_groups_is_the_mean_of_separate_losses_of_consecutive_rows():
    model, view = NumbersModel(), torch.randn(12, dtype=torch.float64)
    given = batch(12)
    losses, _ = training_step(given, lambda batch: [view], model, Strategy(Options(), None), None, 4)
    parts = view.split(4), given.labels.double().split(4)
    separate = [z.var() + labels.mean() for z, labels in zip(*parts, strict=True)]
    torch.testing.assert_close(losses.objective, torch.stack(separate).mean())


def test_queues_move_once_by_all_rows_however_losses_are_grouped():
    model = NumbersModel()
    training_step(batch(12), lambda batch: [torch.randn(12)], model, Strategy(Options(), None), None, 4)
    assert model.objective.moved == [(12, list(range(12)))]


def test_groups_that_do_not_fill_a_step_are_refused():
    with pytest.raises(SettingsError, match=r"training\.loss_group 5 does not divide the 12 images of a step"):
        training_step(batch(12), lambda batch: [torch.randn(12)], NumbersModel(), Strategy(Options(), None), None, 5)
