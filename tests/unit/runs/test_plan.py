"""What a plan holds: each job once, and what tables show."""

import pytest

from cassle.errors import SettingsError
from tests.unit.runs.world import plan


def test_two_runs_of_one_path_and_other_settings_are_refused():
    job = next(iter(plan().train.values()))
    made = plan()
    changed = type(job)(job.folder, {**job.spec, "seed": 7}, job.parent, job.gpus)
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
    rows = {(row["objective"], row["strategy"], row["probe"]) for row in made.cells["rows"]}
    ssl = {(name, label, "online") for name in ("simclr", "byol") for label in ("finetune", "cassle", "offline")}
    assert rows == ssl | {("supervised", "finetune", "knn")}
    assert len(made.cells["rows"]) == len(rows)
    assert made.cells["strategies"] == ["finetune", "cassle", "offline"]
    stream = made.cells["streams"][0]
    assert made.tables() == [(stream, "online"), (stream, "knn")]
    assert {probe for _, probe, _ in made.figures()} == {"online"}


def test_what_grids_call_differently_is_called_by_its_label():
    by_hand = {"strategies": [{"name": "cassle", "teacher_batchnorm": "frozen"}], "preset": "original"}
    assert plan(**by_hand).summary()["names"] == {"cassle": "cassle (teacher_batchnorm=frozen)"}
    both = plan(grids=[by_hand, {"strategies": ["cassle"]}])
    assert both.summary()["names"] == {}
