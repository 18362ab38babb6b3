"""Accuracies per task, and how probes get their settings."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from cassle.core.errors import DataError, SettingsError
from cassle.core.options import Options
from cassle.evaluation.base import Probe, accuracy_by_task, predict_within_task, probes


def test_accuracy_is_the_share_of_a_tasks_own_test_images():
    #                          task 0        task 2     task 1
    test_task = torch.tensor([0, 0, 0, 0, 2, 2, 1, 1, 1])
    labels = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9])
    predicted = torch.tensor([1, 2, 3, 0, 5, 0, 0, 0, 0])
    assert accuracy_by_task(predicted, labels, test_task, 3) == [3 / 4, 0.0, 1 / 2]


def test_order_of_test_images_does_not_matter():
    draw = torch.Generator().manual_seed(0)
    test_task, labels, predicted = (torch.randint(3, (60,), generator=draw) for _ in range(3))
    order = torch.randperm(60, generator=draw)
    expected = accuracy_by_task(predicted, labels, test_task, 3)
    assert accuracy_by_task(predicted[order], labels[order], test_task[order], 3) == pytest.approx(expected)


def test_the_mean_over_tasks_is_not_the_mean_over_images():
    row = accuracy_by_task(torch.tensor([1, 0, 0, 0]), torch.ones(4).long(), torch.tensor([0, 1, 1, 1]), 2)
    assert row == [1.0, 0.0]


@pytest.mark.parametrize(("test_task", "missing"), [([0, 0, 2], 1), ([1, 2, 2], 0), ([0, 1, 1], 2), ([], 0)])
def test_a_task_without_test_images_is_refused(test_task, missing):
    tasks = torch.tensor(test_task, dtype=torch.int64)
    with pytest.raises(DataError, match=f"task {missing} has no test images.*prepare the dataset again"):
        accuracy_by_task(tasks, tasks, tasks, 3)


class Loud(Probe):
    class Settings(Options):
        volume: float = Field(1.0, gt=0, description="how loud it is")


@pytest.mark.parametrize(("settings", "volume"), [({}, 1.0), ({"volume": 2}, 2.0)])
def test_settings_of_a_probe_are_completed(settings, volume):
    assert Loud(**settings).settings == Loud.Settings(volume=volume)


@pytest.mark.parametrize(
    ("settings", "message"), [({"volumn": 2}, "did you mean 'volume'"), ({"volume": 0}, "'volume' = 0")]
)
def test_an_unknown_or_impossible_setting_is_refused(settings, message):
    with pytest.raises(SettingsError, match=f"probe Loud: .*{message}"):
        Loud(**settings)


def test_an_unknown_probe_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="there is no probe 'linear_cache': did you mean 'linear_cached'"):
        probes.get("linear_cache")


@pytest.mark.parametrize("name", probes.names())
def test_every_probe_works_as_it_comes_and_describes_its_settings(name):
    kind = probes.get(name)
    kind()
    assert [key for key, field in kind.Settings.model_fields.items() if not field.description] == []


def test_within_a_task_only_its_own_classes_compete():
    scores = torch.tensor([[5.0, 1.0, 2.0, 4.0], [5.0, 1.0, 2.0, 4.0]])
    assert predict_within_task(scores, torch.tensor([0, 1]), [[1, 2], [0, 3]]).tolist() == [2, 0]


@st.composite
def scored(draw):
    """Scores of images of several tasks with disjoint classes, each image's label among its task's classes."""
    tasks, per_task = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    count = draw(st.integers(tasks, 30))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    classes = torch.randperm(tasks * per_task, generator=random).view(tasks, per_task)
    task = torch.cat([torch.arange(tasks), torch.randint(tasks, (count - tasks,), generator=random)])
    labels = classes[task, torch.randint(per_task, (count,), generator=random)]
    return torch.randn(count, tasks * per_task, generator=random), labels, task, classes.tolist()


@given(scored())
def test_knowing_the_task_never_hurts_and_never_leaves_it(case):
    scores, labels, task, classes = case
    known = predict_within_task(scores, task, classes)
    assert all(int(answer) in classes[int(own)] for answer, own in zip(known, task, strict=True))
    free = accuracy_by_task(scores.argmax(dim=1), labels, task, len(classes))
    aware = accuracy_by_task(known, labels, task, len(classes))
    assert all(with_task >= without for with_task, without in zip(aware, free, strict=True))


@given(scored())
def test_a_task_of_all_classes_changes_nothing(case):
    scores, _, task, classes = case
    everything = [[number for own in classes for number in own]] * len(classes)
    assert torch.equal(predict_within_task(scores, task, everything), scores.argmax(dim=1))
