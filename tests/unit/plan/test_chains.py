"""The runs of one objective: shared first tasks, parents, joint training and memories."""

import hashlib

from cassle.contracts.layout import TaskFolder
from cassle.strategies.base import strategies
from tests.unit.plan.world import folders, plan


def test_the_first_task_is_trained_once_for_all_strategies():
    made = plan()
    base = "results/digits-domain3/conv3/simclr"
    assert folders(made) == {
        f"{base}/first/seed0/task0",
        *(f"{base}/{strategy}/seed0/task{task}" for strategy in ("finetune", "cassle") for task in (1, 2)),
    }
    assert made.train[f"{base}/cassle/seed0/task1"].previous == TaskFolder.parse(f"{base}/first/seed0/task0")
    assert made.train[f"{base}/cassle/seed0/task2"].previous == TaskFolder.parse(f"{base}/cassle/seed0/task1")


def test_a_strategy_that_acts_in_the_first_task_has_one_of_its_own(monkeypatch):
    monkeypatch.setattr(strategies.get("cassle"), "shares_first_task", False)
    made = plan()
    base = "results/digits-domain3/conv3/simclr"
    first = {task: made.train[f"{base}/{task}/seed0/task0"].spec.strategy for task in ("first", "cassle")}
    assert (first["first"], first["cassle"].name) == (None, "cassle")
    assert made.train[f"{base}/finetune/seed0/task1"].previous == TaskFolder.parse(f"{base}/first/seed0/task0")
    assert made.train[f"{base}/cassle/seed0/task1"].previous == TaskFolder.parse(f"{base}/cassle/seed0/task0")


def test_offline_is_the_joint_stream_evaluated_on_the_tasks_of_every_stream():
    made = plan(streams=["digits-domain3", "digits-class5"], strategies=[], offline=True)
    folder = "results/digits-all/conv3/simclr/first/seed0/task0"
    assert folders(made) == {folder}
    assert {file for file in made.probe if file.startswith(folder)} == {
        f"{folder}/probes/{stream}/linear_cached+knn+online.json" for stream in ("digits-domain3", "digits-class5")
    }


def test_what_only_executes_stays_out_of_paths_and_identities():
    made, other = plan(), plan(execution={"device": "cpu", "threads": 2, "precision": "fp32"})
    assert {folder: job.spec for folder, job in made.train.items()} == {f: j.spec for f, j in other.train.items()}


def test_trainings_on_the_cpu_ask_for_no_gpu():
    made = plan(execution={"device": "cpu", "gpus": 2})
    assert {job.gpus for job in made.train.values()} == {0}


def test_a_strategy_that_keeps_something_remembers_after_each_task_but_the_last():
    made = plan(strategies=["finetune", "er"])
    base = "results/digits-domain3/conv3/simclr"
    files = [f"{base}/er/seed0/task{task}/memory.pt" for task in (0, 1)]
    assert [job.file for job in made.memory.values()] == files
    assert [str(job.checkpoint) for job in made.memory.values()] == [
        f"{base}/first/seed0/task0",
        f"{base}/er/seed0/task1",
    ]
    first, second = made.memory.values()
    assert (first.previous, second.previous) == (None, first.at)
    assert [made.train[f"{base}/er/seed0/task{task}"].memory.memory for task in (1, 2)] == files
    assert all(job.memory is None for folder, job in made.train.items() if "/er/" not in folder)


def test_strategies_that_keep_nothing_plan_no_memory():
    kept_nothing = ["finetune", "cassle", "less_forget", "pod", "feature_distillation", "pfr", "pnr", "cassle+pod"]
    assert plan(strategies=kept_nothing, offline=True).memory == {}


def test_a_memory_is_determined_by_its_strategy_even_where_the_first_task_is_shared():
    made = plan(strategies=["er", {"name": "er", "buffer_size": 9}, "cassle+er"])
    assert len(made.memory) == 6
    assert len({job.spec.digest for job in made.memory.values()}) == 6
    firsts = [job for job in made.memory.values() if job.spec.task == 0]
    assert {str(job.checkpoint) for job in firsts} == {"results/digits-domain3/conv3/simclr/first/seed0/task0"}
    assert [job.spec.strategy.name for job in firsts] == ["er", "er", "cassle+er"]


def test_a_given_first_checkpoint_is_taken_over_by_strategies_and_not_by_joint_training(tmp_path):
    given = tmp_path / "given.pt"
    given.write_bytes(b"weights")
    made = plan(first_checkpoint=str(given), offline=True)
    mark = hashlib.sha256(b"weights").hexdigest()[:16]
    joint = made.train.pop("results/digits-all/conv3/simclr/first/seed0/task0")
    assert (joint.first_checkpoint, joint.spec.first_checkpoint) == (None, None)
    assert len(made.train) == 5
    assert all(f"/simclr~first={mark}/" in folder for folder in made.train)
    assert {job.spec.first_checkpoint for job in made.train.values()} == {mark}
    assert [job.first_checkpoint for job in made.train.values()] == [str(given), None, None, None, None]
