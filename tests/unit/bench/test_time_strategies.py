"""The measurement of strategies: what its table holds, whatever the numbers are."""

import pytest

from cassle.bench import base
from cassle.bench.time_strategies import MIB, BenchSettings, as_text, measure
from cassle.core.errors import SettingsError
from cassle.settings.site import Execution, Site

QUICK = {"backbone": "conv3-narrow", "batch_size": 8, "images": 100, "rounds": 2}


@pytest.fixture(scope="module")
def result():
    settings = BenchSettings(strategies=["cassle", "ewc", {"name": "er", "buffer_size": 100}], **QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "LEAST", 0.0)
        return measure(settings, Site(execution=Execution(device="cpu")))


def test_every_strategy_has_a_row_behind_that_of_fine_tuning(result):
    assert [row["name"] for row in result["rows"]] == ["finetune", "cassle", "ewc", "er~buffer_size=100"]
    assert result["rows"][0]["x finetune"] == 1
    assert all(0 < row["low"] <= row["median"] <= row["high"] for row in result["rows"])
    assert [line.split()[0] for line in as_text(result).splitlines()[-4:]] == [row["name"] for row in result["rows"]]


def test_memory_is_what_is_held_beside_the_network(result):
    finetune, cassle, ewc, er = result["rows"]
    assert (finetune["held MiB"], finetune["file MiB"]) == (0, 0)
    assert cassle["held MiB"] > 0 == cassle["file MiB"]
    assert ewc["file MiB"] == ewc["held MiB"]  # two numbers per weight
    assert er["held MiB"] * MIB == 100 * 8  # positions
    assert er["file MiB"] * MIB == 100 * 3 * 8  # and tasks and keys
    # twice the rows, nearly twice what is kept for gradients; a penalty on the weights keeps a little more
    assert 1.8 < er["saved MiB"] / finetune["saved MiB"] < 2.1
    assert ewc["saved MiB"] > finetune["saved MiB"]


def test_a_strategy_that_does_not_exist_is_refused():
    with pytest.raises(SettingsError, match="there is no strategy 'cassel'"):
        measure(BenchSettings(strategies=["cassel"], **QUICK), Site())
