"""The measurement of strategies: what its table holds, whatever the numbers are."""

import json

import pytest

from cassle.bench.strategies import BenchSettings, as_text, measure
from cassle.cli import main
from cassle.errors import SettingsError
from cassle.options import parse
from cassle.settings import Execution, Site

QUICK = {"backbone": "conv3-narrow", "training": {"batch_size": 8}, "steps": 1, "rounds": 2}


@pytest.fixture(scope="module")
def result():
    settings = BenchSettings(strategies=["cassle", "ewc", {"name": "er", "buffer_size": 100}], **QUICK)
    return measure(settings, Site(execution=Execution(device="cpu")))


def test_every_strategy_has_a_row_behind_that_of_fine_tuning(result):
    assert [row["strategy"] for row in result["rows"]] == ["finetune", "cassle", "ewc", "er~buffer_size=100"]
    assert result["rows"][0]["times_finetune"] == 1
    for row in result["rows"]:
        low, high = row["quartiles"]
        assert 0 < low <= row["seconds_per_step"] <= high


def test_memory_is_what_is_held_beside_the_network(result):
    finetune, cassle, ewc, er = result["rows"]
    assert (finetune["held_bytes"], finetune["file_bytes"]) == (0, 0)
    assert cassle["held_bytes"] > 0 == cassle["file_bytes"]
    assert ewc["file_bytes"] == ewc["held_bytes"]  # two numbers per weight
    assert er["held_bytes"] == 100 * 8  # positions
    assert er["file_bytes"] == 100 * 3 * 8  # and tasks and keys
    # twice the rows, nearly twice what is kept for gradients; a penalty on the weights keeps a little more
    assert 1.8 < er["saved_bytes"] / finetune["saved_bytes"] < 2.1
    assert ewc["saved_bytes"] > finetune["saved_bytes"]


def test_it_says_on_which_machine_and_with_which_settings(result):
    assert {"device", "cores", "system", "threads", "versions"} == set(result["machine"])
    assert parse(BenchSettings, result["settings"], "bench").steps == 1
    assert len(as_text(result).splitlines()) == 6


def test_it_is_a_verb_that_prints_a_table_and_writes_json(tmp_path, capsys):
    words = [f"{key}={json.dumps(value)}" for key, value in {**QUICK, "strategies": ["lump"]}.items()]
    assert main(["bench", "strategies", *words, "--out", str(tmp_path / "bench.json")]) == 0
    assert "lump" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 2


@pytest.mark.parametrize(("words", "message"), [(["stpes=3"], "did you mean 'steps'"), (["steps"], "key=value")])
def test_mistakes_are_answered(capsys, words, message):
    assert main(["bench", "strategies", *words]) == 1
    assert message in capsys.readouterr().err


def test_a_strategy_that_does_not_exist_is_refused():
    with pytest.raises(SettingsError, match="there is no strategy 'cassel'"):
        measure(BenchSettings(strategies=["cassel"], **QUICK), Site())
