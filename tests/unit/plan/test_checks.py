"""What a dry run refuses before it resolves anything."""

import pytest

from cassle.core.errors import SettingsError
from cassle.core.registry import module_names
from cassle.plan.checks import FEATURE_FIGURES, FIGURES
from tests.unit.plan.world import plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": ["bar"]}, "there is no figure 'bar': did you mean 'bars'"),
        ({"data": {"digitz": {}}}, "there is no dataset 'digitz'"),
        ({"data": {"digits": {"root": "x"}}}, "dataset digits: unknown key 'root'"),
        ({"data": {"cifar100": {"statistics": "mine"}}}, "dataset cifar100: 'statistics' = 'mine'"),
        ({"data": {"imagenet100": {"wnids": "no.txt"}}}, "imagenet100: cannot read the list of wnids no.txt"),
        ({"plugins": ["nowhere.py"]}, "plugin nowhere.py is not a readable Python file"),
        ({"strategies": []}, "trains nothing"),
    ],
)
def test_a_dry_run_refuses_what_would_fail_late(changes, message):
    with pytest.raises(SettingsError, match=message):
        plan(**changes)


def test_a_first_checkpoint_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"none.pt: No such file or directory; check the path"):
        plan(first_checkpoint=str(tmp_path / "none.pt"))


def test_a_first_checkpoint_with_braces_in_its_path_is_refused(tmp_path):
    (tmp_path / "{task}.pt").touch()
    with pytest.raises(SettingsError, match=r"first_checkpoint .*task}.pt: Snakemake fills in braces; rename the file"):
        plan(first_checkpoint=str(tmp_path / "{task}.pt"))


def test_figures_are_known_without_importing_what_draws_them():
    assert {"bars", "results"} <= set(module_names(FIGURES))
    assert {"cka", "tsne"} <= set(module_names(FEATURE_FIGURES))
