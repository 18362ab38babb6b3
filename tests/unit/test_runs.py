"""What a run is: identities, variants, shared first tasks, paths; and what a dry run refuses."""

import pytest
import yaml

from cassle.data.base import data_sets
from cassle.errors import SettingsError
from cassle.runs import RECIPES, label_of, resolve
from cassle.settings import read_study, read_yaml
from cassle.strategies.base import strategies

CONFIG = RECIPES.parent
GRID = {"streams": ["digits-domain3"], "objectives": ["simclr"], "strategies": ["finetune", "cassle"]}


def plan(**changes):
    return resolve(read_study({**GRID, **changes}))


def folders(made):
    return set(made.train)


def test_the_first_task_is_trained_once_for_all_strategies():
    made = plan()
    base = "results/digits-domain3/conv3/simclr"
    assert folders(made) == {
        f"{base}/first/seed0/task0",
        *(f"{base}/{strategy}/seed0/task{task}" for strategy in ("finetune", "cassle") for task in (1, 2)),
    }
    assert made.train[f"{base}/cassle/seed0/task1"].parent == f"{base}/first/seed0/task0"
    assert made.train[f"{base}/cassle/seed0/task2"].parent == f"{base}/cassle/seed0/task1"


def test_every_checkpoint_and_the_random_network_are_evaluated_once():
    made = plan(probes=["knn", "online"])
    trained = {file for file in made.probe if "/random/" not in file}
    assert trained == {f"{folder}/probes/digits-domain3/knn+online.json" for folder in made.train}
    assert set(made.probe) - trained == {"results/digits-domain3/conv3/random/seed0/probes/digits-domain3/knn.json"}


def test_offline_is_the_joint_stream_evaluated_on_the_tasks_of_every_stream():
    made = plan(streams=["digits-domain3", "digits-class5"], strategies=[], offline=True)
    folder = "results/digits-all/conv3/simclr/first/seed0/task0"
    assert folders(made) == {folder}
    assert {file for file in made.probe if file.startswith(folder)} == {
        f"{folder}/probes/{stream}/linear_cached+knn+online.json" for stream in ("digits-domain3", "digits-class5")
    }


def test_settings_of_the_objective_mark_the_first_task_and_those_of_the_strategy_do_not():
    made = plan(objectives=[{"name": "simclr", "temperature": 0.5}], strategies=[{"name": "cassle", "weight": 2.0}])
    assert folders(made) == {
        "results/digits-domain3/conv3/simclr~temperature=0.5/first/seed0/task0",
        "results/digits-domain3/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task1",
        "results/digits-domain3/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task2",
    }


def test_a_setting_equal_to_the_recipe_is_no_variant():
    usual = yaml.safe_load((RECIPES / "simclr.yaml").read_text())["digits"]
    same = {"name": "simclr", "temperature": usual["objective"]["temperature"]}
    assert folders(plan(objectives=[same], training={"epochs": usual["epochs"]})) == folders(plan())


def test_settings_of_training_are_part_of_the_variant():
    assert any("simclr~epochs=2/" in folder for folder in folders(plan(training={"epochs": 2})))


def test_named_views_of_a_recipe_are_chosen_by_one_word_which_marks_the_path():
    made = plan(training={"views": "multicrop"})
    assert all("/simclr~views=multicrop/" in folder for folder in folders(made))
    job = next(iter(made.train.values()))
    assert [view["size"] for view in job.spec["training"]["views"]] == [16, 16, *[12] * 6]


def test_grids_share_jobs_and_tables_show_only_what_a_grid_asks_for():
    grids = [
        {"objectives": ["simclr", "byol"], "strategies": ["finetune", "cassle"], "offline": True},
        {"objectives": ["supervised"], "strategies": ["finetune"], "probes": ["knn"]},
        {"objectives": ["simclr"], "strategies": ["finetune"]},
    ]
    made = plan(grids=grids, probes=["online"])
    assert len(made.train) == 2 * (1 + 2 + 2 + 1) + 3
    rows = {(row["objective"], row["strategy"], row["probe"]) for row in made.cells["rows"]}
    ssl = {(name, label, "online") for name in ("simclr", "byol") for label in ("finetune", "cassle", "offline")}
    assert rows == ssl | {("supervised", "finetune", "knn")}
    assert len(made.cells["rows"]) == len(rows)
    assert made.cells["strategies"] == ["finetune", "cassle", "offline"]
    stream = made.cells["streams"][0]
    assert made.tables() == [(stream, "online"), (stream, "knn")]
    assert {probe for _, probe, _ in made.figures()} == {"online"}


def test_what_only_executes_stays_out_of_paths_and_identities():
    made, other = plan(), plan(execution={"device": "cpu", "threads": 2, "precision": "fp32"})
    assert {folder: job.key for folder, job in made.train.items()} == {f: j.key for f, j in other.train.items()}


def cifar(tmp_path, **settings):
    """The plan of a study on CIFAR-10 with a recipe of its own."""
    usual = yaml.safe_load((RECIPES / "simclr.yaml").read_text())["digits"]
    (tmp_path / "simclr.yaml").write_text(yaml.safe_dump({"cifar10": usual}))
    return plan(streams=["cifar10-class5"], recipes=str(tmp_path), offline=True, data={"cifar10": settings})


def test_settings_of_a_data_set_that_determine_results_reach_every_job_and_places_none(tmp_path):
    usual, moved = cifar(tmp_path), cifar(tmp_path, root="/elsewhere", download=False)
    assert {folder: job.key for folder, job in usual.train.items()} == {f: j.key for f, j in moved.train.items()}
    other = cifar(tmp_path, statistics="original")
    assert not folders(usual) & folders(other)
    assert not set(usual.probe) & set(other.probe)
    assert all(job.spec["stream"]["data"] == {"statistics": "original"} for job in other.train.values())
    assert "results/cifar10-all~statistics=original/resnet18/simclr/first/seed0/task0" in folders(other)


def test_two_folders_of_images_are_two_data_sets_with_the_recipe_of_a_folder(tmp_path, monkeypatch):
    data_sets.names()
    monkeypatch.setattr(data_sets, "_entries", dict(data_sets._entries))
    usual = yaml.safe_load((RECIPES / "simclr.yaml").read_text())["digits"]
    (tmp_path / "simclr.yaml").write_text(yaml.safe_dump({"folder": usual}))
    data = {"finches": {"kind": "folder", "root": "/a"}, "ducks": {"kind": "folder", "root": "/b"}}
    made = plan(streams=["finches-class2", "ducks-domain3"], recipes=str(tmp_path), data=data)
    assert {folder.split("/")[1] for folder in folders(made)} == {"finches-class2", "ducks-domain3"}
    assert {stream.index for stream in made.streams.values()} == {"finches", "ducks"}


def test_the_scenario_changes_by_one_word():
    for stream in ("digits-class5", "digits-data5", "digits-domain5"):
        assert all(folder.startswith(f"results/{stream}/") for folder in folders(plan(streams=[stream])))


def test_long_variants_are_hashed_and_short_ones_read_aloud():
    assert label_of("simclr", {"temperature": 0.2, "epochs": 2}) == "simclr~epochs=2~temperature=0.2"
    long = label_of("simclr", {f"a_rather_long_key_{i}": i for i in range(4)})
    assert long.startswith("simclr~")
    assert len(long) == len("simclr~") + 10


def test_two_runs_of_one_path_and_other_settings_are_refused(tmp_path):
    job = next(iter(plan().train.values()))
    made = plan()
    changed = type(job)(job.folder, {**job.spec, "seed": 7}, job.parent, job.gpus)
    with pytest.raises(SettingsError, match=f"two runs would share {job.folder} but differ in seed"):
        made.add_train(changed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ["bylo"]}, "there is no objective 'bylo': did you mean 'byol'"),
        ({"strategies": ["cassel"]}, "there is no strategy 'cassel': did you mean 'cassle'"),
        ({"backbones": ["conv4"]}, "there is no backbone 'conv4': did you mean 'conv3'"),
        ({"backbones": [{"name": "conv3", "width": 3}]}, "backbone conv3: unknown key 'width'"),
        ({"streams": ["digit-domain3"]}, "there is no data set 'digit': did you mean 'digits'"),
        ({"streams": ["digits-domain9"]}, "digits has 6 domains"),
        ({"streams": ["digits-all"]}, "has one task, so no strategy can act"),
        ({"streams": ["digits"]}, "is not a stream"),
        ({"probes": ["linaer_cached"]}, "there is no probe 'linaer_cached': did you mean 'linear_cached'"),
        ({"probes": [{"name": "knn", "neighbours": 3}]}, "probe knn: unknown key 'neighbours'"),
        ({"figures": ["bar"]}, "there is no figure 'bar': did you mean 'bars'"),
        ({"data": {"digitz": {}}}, "there is no data set 'digitz'"),
        ({"data": {"digits": {"root": "x"}}}, "data set digits: unknown key 'root'"),
        ({"data": {"cifar100": {"statistics": "mine"}}}, "data set cifar100: 'statistics' = 'mine'"),
        ({"data": {"imagenet100": {"wnids": "no.txt"}}}, "imagenet100: cannot read the list of wnids no.txt"),
        ({"streams": [{"name": "digits-class5", "data": {}}]}, "settings of a data set stand in the study"),
        ({"objectives": [{"temperature": 0.1}]}, "needs a 'name'"),
        ({"objectives": [{"name": "simclr", "temprature": 0.1}]}, "unknown key 'temprature': did you mean 'temp"),
        ({"training": {"epoch": 3}}, "unknown key 'epoch': did you mean 'epochs'"),
        ({"training": {"optimizer": {"lr": "3e-4x"}}}, "YAML reads 3e-4 as text"),
        ({"strategies": [{"name": "cassle", "distillation": {"name": "contrastiv"}}]}, "did you mean 'contrastive'"),
        ({"strategies": []}, "trains nothing"),
        ({"objectives": ["byol"], "training": {"views": [{"size": 16}] * 3}}, "byol takes two views, not 3"),
        ({"training": {"views": "multicorp"}}, "the recipe has no views 'multicorp'; besides its usual .* multicrop"),
        ({"plugins": ["nowhere.py"]}, "plugin nowhere.py is not a readable Python file"),
    ],
)
def test_a_dry_run_refuses_what_cannot_work(changes, message):
    with pytest.raises(SettingsError, match=message):
        plan(**changes)


def test_an_objective_without_a_recipe_says_where_to_write_one(tmp_path):
    with pytest.raises(SettingsError, match=f"'simclr' has no recipe: write simclr.yaml in {tmp_path}"):
        plan(recipes=str(tmp_path))


def test_a_recipe_without_the_data_set_says_what_it_has(tmp_path):
    (tmp_path / "simclr.yaml").write_text("cifar100: {}\n")
    with pytest.raises(SettingsError, match=r"no recipe of simclr for data set 'digits'.*it has: cifar100"):
        plan(recipes=str(tmp_path))


def test_variants_of_probes_and_streams_have_names_of_their_own():
    made = plan(probes=[{"name": "knn", "k": 5}], streams=[{"name": "digits-class2", "class_order": 7}])
    assert made.cells["probes"] == ["knn~k=5"]
    assert all(file.split("/")[1] == "digits-class2~class_order=7" for file in made.probe)


def test_trainings_on_the_cpu_ask_for_no_gpu():
    made = plan(execution={"device": "cpu", "gpus": 2})
    assert {job.gpus for job in made.train.values()} == {0}


def test_a_strategy_that_keeps_something_remembers_after_each_task_but_the_last():
    made = plan(strategies=["finetune", "er"])
    base = "results/digits-domain3/conv3/simclr"
    files = [f"{base}/er/seed0/task{task}/memory.pt" for task in (0, 1)]
    assert [job.file for job in made.memory.values()] == files
    assert [job.checkpoint for job in made.memory.values()] == [f"{base}/first/seed0/task0", f"{base}/er/seed0/task1"]
    assert [job.previous for job in made.memory.values()] == [None, files[0]]
    assert [made.train[f"{base}/er/seed0/task{task}"].memory for task in (1, 2)] == files
    assert all(job.memory is None for folder, job in made.train.items() if "/er/" not in folder)


def test_strategies_that_keep_nothing_plan_no_memory():
    kept_nothing = ["finetune", "cassle", "less_forget", "pod", "feature_distillation", "pfr", "pnr", "cassle+pod"]
    assert plan(strategies=kept_nothing, offline=True).memory == {}


def test_a_memory_is_determined_by_its_strategy_even_where_the_first_task_is_shared():
    made = plan(strategies=["er", {"name": "er", "buffer_size": 9}, "cassle+er"])
    assert len(made.memory) == 6
    assert len({job.key for job in made.memory.values()}) == 6
    firsts = [job for job in made.memory.values() if job.spec["task"] == 0]
    assert {job.checkpoint for job in firsts} == {"results/digits-domain3/conv3/simclr/first/seed0/task0"}
    assert [job.spec["strategy"]["name"] for job in firsts] == ["er", "er", "cassle+er"]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("cassle+", "there is no strategy ''"),
        ("er+der", "er and der both replay"),
        ({"name": "cassle", "teacher": "momentum"}, "SimCLR has no momentum network"),
        ({"name": "pnr", "distillation": {"name": "whitened"}}, "no pseudo-negatives for distillation 'whitened'"),
    ],
)
def test_a_dry_run_refuses_strategies_that_cannot_work(strategy, message):
    with pytest.raises(SettingsError, match=message):
        plan(strategies=[strategy])


def test_the_ablations_share_every_job_of_the_default_study():
    default, ablations = (resolve(read_study(read_yaml(CONFIG / name))) for name in ("config.yaml", "ablations.yaml"))
    assert default.train.items() <= ablations.train.items()
    assert default.probe.items() <= ablations.probe.items()


def test_the_study_of_all_strategies_has_each_of_them():
    study = read_study(read_yaml(CONFIG / "strategies.yaml"))
    names = [choice if isinstance(choice, str) else choice["name"] for choice in study.strategies]
    ours = {name for name in strategies.names() if strategies.get(name).__module__.startswith("cassle.")}
    assert {part for name in names for part in name.split("+")} == ours
    assert resolve(study).memory


def test_transfer_looks_at_a_stream_of_its_own_which_is_split_too():
    made = plan(probes=["knn", {"name": "transfer", "to": "digits-class5", "classifier": "linear_cached"}])
    assert set(made.streams) == {"digits-domain3", "digits-class5"}
    for job in made.probe.values():
        assert [stream.name for stream in job.streams] == ["digits-domain3", "digits-class5"]
    assert {file.split("/")[-2] for file in made.probe} == {"digits-domain3"}


def test_the_random_network_is_evaluated_by_the_probes_that_need_no_training():
    made = plan(probes=["semi_1", "online", {"name": "knn", "features": "projector"}, "knn"])
    (random,) = [job for job in made.probe.values() if not job.trained]
    assert [probe["label"] for probe in random.spec["probes"]] == ["semi_1", "knn"]


def test_a_probe_that_does_not_suit_a_stream_fails_the_dry_run():
    with pytest.raises(SettingsError, match="probe domain_aware does not suit digits-class5: its tasks are no domains"):
        plan(streams=["digits-class5"], probes=["domain_aware"])


def test_another_classifier_in_a_probe_marks_its_file():
    made = plan(probes=[{"name": "semi_10", "classifier": "linear_cached"}])
    assert {file.split("/")[-1] for file in made.probe} == {"semi_10~classifier=linear_cached.json"}
