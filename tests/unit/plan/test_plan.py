"""What a plan holds: each job once, and what tables show."""

import pytest

from cassle.core.errors import SettingsError
from cassle.data.streams import Stream
from cassle.plan.plan import combined
from tests.unit.plan.world import plan


def test_two_runs_of_one_path_and_other_settings_are_refused():
    job = next(iter(plan().train.values()))
    made = plan()
    changed = job.model_copy(update={"spec": job.spec.model_copy(update={"seed": 7})})
    with pytest.raises(SettingsError, match=f"two runs would share {job.folder} but differ in seed"):
        made.add_train(changed)


def test_grids_share_jobs_and_tables_show_only_what_a_grid_asks_for():
    grids = [
        {"objectives": ["simclr", "byol"], "strategies": ["finetune", "cassle"], "offline": True},
        {"objectives": ["supervised"], "strategies": ["finetune"], "probes": ["knn"]},
        {"objectives": ["simclr"], "strategies": ["finetune"]},
    ]
    made = plan(grids=grids, probes=["online"])
    assert len(made.train) == 2 * (1 + 2 + 2 + 1) + 3
    rows = {(row.objective, row.strategy, row.probe) for row in made.rows}
    ssl = {(name, label, "online") for name in ("simclr", "byol") for label in ("finetune", "cassle", "offline")}
    assert rows == ssl | {("supervised", "finetune", "knn")}
    assert len(made.rows) == len(rows)
    assert made.summary().strategies == ["finetune", "cassle", "offline"]
    stream = made.summary().streams[0]
    assert made.tables() == [(stream, "online"), (stream, "knn")]
    assert {probe for _, probe, _ in made.figures()} == {"online"}


def test_what_grids_call_differently_is_called_by_its_label():
    by_hand = {"strategies": [{"name": "cassle", "teacher_batchnorm": "frozen"}], "preset": "original"}
    assert plan(**by_hand).summary().names == {"cassle": "cassle (teacher_batchnorm=frozen)"}
    both = plan(grids=[by_hand, {"strategies": ["cassle"]}])
    assert both.summary().names == {}


def test_studies_done_together_evaluate_a_checkpoint_once_with_the_probes_of_all():
    parts = [plan(probes=["online", "knn"]), plan(probes=["knn", {"name": "knn", "k": 5}], strategies=["finetune"])]
    made = combined(parts[0].study, parts)
    assert made.probe.keys() == {job.file for job in made.probe.values()}
    assert len({job.output.directory for job in made.probe.values()}) == len(made.probe) == len(made.train) + 1
    files = {f"{folder}/probes/digits-domain3/online+knn+knn~k=5.json" for folder in parts[1].train}
    assert files <= made.probe.keys()
    assert {file.split("/")[-1] for file in made.probe} == {
        "online+knn+knn~k=5.json",
        "online+knn.json",
        "knn+knn~k=5.json",
    }
    assert {file.split("/")[-1] for file in parts[1].probe} == {"knn+knn~k=5.json"}  # as if it were alone


def test_grids_that_evaluate_a_checkpoint_by_other_probes_share_the_job():
    made = plan(grids=[{"probes": ["knn"]}, {"probes": ["online"]}])
    assert {file.split("/")[-1] for file in made.probe if "/random/" not in file} == {"knn+online.json"}
    assert len(made.probe) == len(made.train) + 1


def test_a_probe_that_two_studies_mean_otherwise_is_refused():
    parts = [plan(probes=["knn"]), plan(probes=["knn"])]
    for file, job in parts[1].probe.items():
        (probe,) = job.spec.probes
        other = probe.model_copy(update={"stream": Stream.parse("cifar10-class2")})
        spec = job.spec.model_copy(update={"probes": (other,)})
        parts[1].probe[file] = job.model_copy(update={"spec": spec})
    with pytest.raises(
        SettingsError, match=r"two evaluations results/.*/digits-domain3 would differ in probes.knn.stream"
    ):
        combined(parts[0].study, parts)
