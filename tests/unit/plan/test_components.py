"""Streams and backbones of a study, and what a dry run refuses of them."""

import pytest

from cassle.core.errors import SettingsError
from tests.unit.plan.world import folders, plan


def test_the_scenario_changes_by_one_word():
    for stream in ("digits-class5", "digits-data5", "digits-domain5"):
        assert all(folder.startswith(f"results/{stream}/") for folder in folders(plan(streams=[stream])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbones": ["conv4"]}, "there is no backbone 'conv4': did you mean 'conv3'"),
        ({"backbones": [{"name": "conv3", "width": 3}]}, "backbone conv3: unknown key 'width'"),
        ({"streams": ["digit-domain3"]}, "there is no dataset 'digit': did you mean 'digits'"),
        ({"streams": ["digits-domain9"]}, "digits has 6 domains"),
        ({"streams": ["digits-all"]}, "has one task, so no strategy can act"),
        ({"streams": ["digits"]}, "is not a stream"),
        ({"streams": [{"name": "digits-class5", "data": {}}]}, "settings of a dataset belong into the study"),
        ({"objectives": [{"temperature": 0.1}]}, "needs a 'name'"),
    ],
)
def test_a_dry_run_refuses_streams_and_backbones_that_do_not_exist(changes, message):
    with pytest.raises(SettingsError, match=message):
        plan(**changes)
