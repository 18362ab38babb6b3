"""Recipes: the directories that are searched, and the message without a recipe."""

import pytest
import yaml

from cassle.core.errors import SettingsError
from tests.unit.plan.world import RECIPES, folders, plan


def test_a_setting_equal_to_the_recipe_is_no_variant():
    usual = yaml.safe_load((RECIPES / "simclr.yaml").read_text())["digits"]
    same = {"name": "simclr", "temperature": usual["objective"]["temperature"]}
    assert folders(plan(objectives=[same], training={"epochs": usual["epochs"]})) == folders(plan())


def test_named_views_of_a_recipe_are_chosen_by_one_word_which_marks_the_path():
    made = plan(training={"views": "multicrop"})
    assert all("/simclr~views=multicrop/" in folder for folder in folders(made))
    job = next(iter(made.train.values()))
    assert [view.size for view in job.spec.training.views] == [16, 16, *[12] * 6]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"views": "multicorp"}}, "the recipe has no views 'multicorp'; besides its usual .* multicrop"),
    ],
)
def test_views_that_a_recipe_does_not_keep_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        plan(**changes)


def test_an_objective_without_a_recipe_says_where_to_write_one(tmp_path):
    with pytest.raises(SettingsError, match=f"'simclr' has no recipe: write {tmp_path}/simclr.yaml"):
        plan(recipes=str(tmp_path))


def test_a_recipe_without_the_dataset_says_what_it_has(tmp_path):
    (tmp_path / "simclr.yaml").write_text("cifar100: {}\n")
    with pytest.raises(SettingsError, match=r"no recipe of simclr for dataset 'digits'.*it has: cifar100"):
        plan(recipes=str(tmp_path))


def test_a_recipe_is_best_written_beside_a_plugin_and_each_place_is_named_once(tmp_path):
    for file in ("mine/one.py", "mine/two.py", "other/three.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "simclr.yaml").write_text("cifar100: {}\n")
    plugins = [str(tmp_path / file) for file in ("mine/one.py", "mine/two.py", "other/three.py")]
    with pytest.raises(SettingsError) as refused:
        plan(recipes=str(tmp_path), plugins=plugins)
    mine, other = (f"{tmp_path}/{folder}/simclr.yaml" for folder in ("mine", "other"))
    assert str(refused.value).endswith(f"add one to {mine} or {other} or {tmp_path}/simclr.yaml (it has: cifar100)")


def test_a_package_without_its_repository_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("cassle.plan.sources.RECIPES", tmp_path / "config/recipes")
    with pytest.raises(
        SettingsError, match=r"no directory .*recipes: this package is installed without its repository"
    ):
        plan()
