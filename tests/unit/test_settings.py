"""Studies: strict, and telling in the user's words what is wrong."""

import pytest

from cassle.errors import SettingsError
from cassle.settings import read_study, read_yaml

GRID = {"streams": ["digits-domain5"], "objectives": ["simclr"], "strategies": ["cassle"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objektives": ["byol"]}, "unknown key 'objektives': did you mean 'objectives'"),
        ({"execution": {"devise": "cpu"}}, "unknown key 'execution.devise': did you mean 'device'"),
        ({"execution": {"device": "tpu"}}, "'execution.device' = 'tpu'"),
        ({"seeds": [0, 0]}, "'seeds' = .*: seeds must be different and not negative"),
        ({"seeds": [-1]}, "'seeds' = .*: seeds must be different and not negative"),
        ({"seeds": []}, "'seeds' = \\[\\]"),
        ({"name": "../elsewhere"}, "'name' = '../elsewhere'"),
        ({"streams": []}, "'streams' is missing; name at least one"),
    ],
)
def test_a_wrong_study_names_key_place_and_nearest_name(changes, message):
    with pytest.raises(SettingsError, match=f"study.yaml: {message}"):
        read_study({**GRID, **changes}, "study.yaml")


def test_a_missing_key_is_named():
    with pytest.raises(SettingsError, match="'objectives' is missing"):
        read_study({"streams": ["digits-domain5"]})


def test_words_stand_for_lists_of_one_and_name_the_study():
    study = read_study({"stream": "digits-class5", "objective": "byol", "strategy": "cassle", "seed": 1})
    assert (study.streams, study.objectives, study.strategies, study.seeds) == (
        ["digits-class5"],
        ["byol"],
        ["cassle"],
        [1],
    )
    assert study.name == "digits-class5-byol-cassle-seed1"


def test_words_replace_the_lists_of_a_study_file_and_keep_its_name():
    study = read_study({**GRID, "name": "mine", "objective": ["byol", "barlow_twins"]})
    assert (study.name, study.objectives) == ("mine", ["byol", "barlow_twins"])


def test_values_inside_lists_that_arrive_as_text_are_read_as_numbers():
    assert read_study({**GRID, "seeds": ["4", "5"]}).seeds == [4, 5]


def test_any_words_give_a_name_that_can_be_a_folder():
    study = read_study({**GRID, "seed": [0, 1], "objective": [{"name": "simclr", "temperature": 0.5}]})
    assert "/" not in study.name
    assert " " not in study.name


def test_a_site_is_the_part_of_a_study_that_says_where_it_runs():
    study = read_study({**GRID, "execution": {"threads": 2}, "data_root": "/data"})
    assert study.site().execution.threads == 2
    assert str(study.site().root) == "/data"


def test_data_dir_is_the_root_where_settings_name_none(monkeypatch):
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    assert str(read_study(GRID).site().root) == "/elsewhere"
    monkeypatch.delenv("DATA_DIR")
    assert read_study(GRID).site().root is None


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "is not YAML.*line 1"), ("- 1", "must hold keys and values, not list"), ("", "not NoneType")],
)
def test_a_broken_settings_file_is_named(tmp_path, text, message):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"(?s){file}.*{message}"):
        read_yaml(file)


def test_a_missing_settings_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read .*none\.yaml: No such file"):
        read_yaml(tmp_path / "none.yaml")
