"""Studies: strict, with errors that name the key and the place."""

import pytest

from cassle.core.errors import SettingsError
from cassle.plan import resolve
from cassle.settings.reading import read_studies, read_study, read_yaml, replaced

GRID = {"streams": ["digits-domain5"], "objectives": ["simclr"], "strategies": ["cassle"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objektives": ["byol"]}, "unknown key 'objektives': did you mean 'objectives'"),
        ({"epochs": 3}, "unknown key 'epochs': 'epochs' belongs into training: 'training={epochs: 3}'"),
        ({"epoch": 3}, "unknown key 'epoch': 'epochs' belongs into training: 'training={epochs: 3}'"),
        ({"gpus": 2}, "unknown key 'gpus': 'gpus' belongs into execution: 'execution={gpus: 2}'"),
        (
            {"execution.loader": "dali"},
            "unknown key 'execution.loader': 'loader' belongs into execution",
        ),
        (
            {"checkpoints": True},
            "unknown key 'checkpoints': 'checkpoints' belongs .* 'wandb={checkpoints: true}'",
        ),
        ({"zzz": 1}, "unknown key 'zzz': known: backbones, data"),
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


def test_words_stand_for_lists_of_one():
    study = read_study({"stream": "digits-class5", "objective": "byol", "strategy": "cassle", "seed": 1})
    assert (study.streams, study.objectives, study.strategies, study.seeds) == (
        ["digits-class5"],
        ["byol"],
        ["cassle"],
        [1],
    )


def test_words_replace_the_lists_of_a_study_file_and_keep_its_name():
    study = read_study({**GRID, "name": "mine", "objective": ["byol", "barlow_twins"]})
    assert (study.name, study.objectives) == ("mine", ["byol", "barlow_twins"])


def test_values_inside_lists_that_arrive_as_text_are_read_as_numbers():
    assert read_study({**GRID, "seeds": ["4", "5"]}).seeds == [4, 5]


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


def test_a_grid_takes_from_the_study_what_it_leaves_out():
    grids = [{"objectives": ["byol"], "offline": True}, {"seeds": [1], "training": {"epochs": 2}}]
    study = read_study({**GRID, "training": {"epochs": 1, "batch_size": 64}, "grids": grids})
    first, second = study.complete_grids()
    assert (first.objectives, first.strategies, first.offline, first.seeds) == (["byol"], ["cassle"], True, [0])
    assert (second.objectives, second.seeds, second.offline) == (["simclr"], [1], False)
    assert (first.training, second.training) == ({"epochs": 1, "batch_size": 64}, {"epochs": 2, "batch_size": 64})


def test_without_grids_a_study_is_one_grid():
    study = read_study(GRID)
    assert study.complete_grids() == [study]


def test_a_grid_without_a_stream_is_refused():
    with pytest.raises(SettingsError, match=r"study\.yaml: 'streams' is missing"):
        read_study({"grids": [{"objectives": ["byol"]}]}, "study.yaml")


def test_a_wrong_key_of_a_grid_is_named():
    with pytest.raises(SettingsError, match=r"unknown key 'grids\.0\.objektives': did you mean 'objectives'"):
        read_study({**GRID, "grids": [{"objektives": ["byol"]}]})


def test_a_word_holds_for_every_grid():
    study = read_study({**GRID, "grids": [{"seeds": [0, 1]}, {}], "seed": 3})
    assert [grid.seeds for grid in study.complete_grids()] == [[3], [3]]


def test_what_is_laid_over_a_study_replaces_lists_of_its_grids_and_goes_before_what_they_say_of_training():
    grids = [{"seeds": [0, 1], "offline": True, "training": {"epochs": 5, "batch_size": 64}}, {}]
    laid = replaced({**GRID, "grids": grids}, {"seeds": [3], "offline": False, "training": {"epochs": 1}})
    first, second = read_study(laid).complete_grids()
    assert (first.seeds, first.offline, first.training) == ([3], False, {"epochs": 1, "batch_size": 64})
    assert (second.seeds, second.offline, second.training) == ([3], False, {"epochs": 1})


@pytest.fixture
def files(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "name: one\nstreams: [digits-class2]\nobjectives: [simclr]\nseeds: [0, 1]\n"
        "grids: [{strategies: [cassle], seeds: [5]}, {offline: true}]\n"
    )
    (tmp_path / "two.yaml").write_text("name: two\nstreams: [digits-class2]\nobjectives: [byol]\noffline: true\n")
    return tmp_path


def test_studies_are_read_from_files_beside_the_one_that_lists_them(files):
    studies = read_studies(read_study({"name": "both", "studies": ["one.yaml", "two.yaml"]}), files)
    assert [study.name for study in studies] == ["one", "two"]
    assert [grid.seeds for grid in studies[0].complete_grids()] == [[5], [0, 1]]


def test_what_the_outer_study_says_replaces_what_files_and_their_grids_say(files):
    outer = {"studies": ["one.yaml", "two.yaml"], "seed": 3, "execution": {"threads": 2}}
    for study in read_studies(read_study(outer), files):
        assert study.execution.threads == 2
        assert [grid.seeds for grid in study.complete_grids()] == [[3]] * len(study.complete_grids())


def test_a_study_in_a_list_says_nothing_of_where_it_runs(files):
    with (files / "two.yaml").open("a") as file:
        file.write("data_root: /elsewhere\n")
    with pytest.raises(SettingsError, match=r"two.yaml: 'data_root' belongs into the study that lists this file"):
        read_studies(read_study({"studies": ["two.yaml"]}), files)


def test_two_studies_of_one_name_are_refused(files):
    with pytest.raises(SettingsError, match="two of the studies are called 'one'"):
        read_studies(read_study({"studies": ["one.yaml", "one.yaml"]}), files)


def test_a_missing_file_of_a_study_is_named(files):
    with pytest.raises(SettingsError, match=r"cannot read .*three\.yaml"):
        read_studies(read_study({"studies": ["three.yaml"]}), files)


def test_loss_groups_that_do_not_divide_the_batch_are_refused_at_the_dry_run():
    grouped = {**GRID, "training": {"batch_size": 96, "loss_group": 64}}
    with pytest.raises(SettingsError, match="training of simclr on digits: loss_group 64 must divide batch_size 96"):
        resolve(read_study(grouped))


def test_loss_groups_are_part_of_what_determines_a_result():
    whole, grouped = (
        list(resolve(read_study({**GRID, "training": {"batch_size": 128, **changes}})).train.values())
        for changes in ({}, {"loss_group": 64})
    )
    assert all("loss_group=64" in job.folder for job in grouped)
    assert [job.spec.training.loss_group for job in whole] == ["global"] * len(whole)
