"""Layout: what is formatted is parsed again, below any directory and with any name, and other paths are refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassle.contracts import layout
from cassle.contracts.layout import ProbeFile, RandomFolder, StudyFolder, TaskFolder, features_of
from cassle.core.errors import DataError

HOSTILE = [" ", "-rf", "~", "$(touch pwned)", "{stream}", "a\nb", "task0", "seed1", "probes", "x.json", "größe"]
CHARACTERS = st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"])
NAMES = st.text(CHARACTERS, min_size=1, max_size=30).filter(lambda name: name not in (".", ".."))
NAMES |= st.sampled_from(HOSTILE)
NUMBERS = st.integers(0, 10**9)
TASKS = st.builds(TaskFolder, NAMES, NAMES, NAMES, NAMES, NUMBERS, NUMBERS)
RANDOM = st.builds(RandomFolder, NAMES, NAMES, NUMBERS)
PROBES = st.builds(ProbeFile, TASKS | RANDOM, NAMES, NAMES.filter(lambda name: not name.startswith(".")))
PREFIXES = st.sampled_from(["", "ssl/", "../", "/", "/scratch/a b/results/", "s3://bucket/study/"])


@given(TASKS, PREFIXES)
def test_the_directory_of_a_task_is_parsed_as_it_was_formatted(task, prefix):
    for path in (f"{prefix}{task}", Path(f"{prefix}{task}"), f"{prefix}{task}/"):
        assert TaskFolder.parse(path) == task
    assert str(TaskFolder.parse(f"{prefix}{task}")) == str(task)


@given(TASKS)
def test_the_files_of_a_task_are_in_its_directory(task):
    files = (task.checkpoint, task.record, task.memory, task.log, task.metrics)
    assert len(set(files)) == len(files)
    assert {TaskFolder.parse(Path(file).parent) for file in files} == {task}
    assert f"{layout.RESULTS}/{task.run}/task{task.task}" == str(task)


@given(RANDOM, PREFIXES)
def test_the_directory_of_an_untrained_network_is_parsed_as_it_was_formatted(folder, prefix):
    assert RandomFolder.parse(f"{prefix}{folder}") == folder
    assert str(RandomFolder.parse(f"{prefix}{folder}")) == str(folder)


@given(PROBES, PREFIXES)
def test_a_file_of_accuracies_is_parsed_as_it_was_formatted(file, prefix):
    for path in (f"{prefix}{file}", Path(f"{prefix}{file}")):
        assert ProbeFile.parse(path) == file
    assert str(ProbeFile.parse(f"{prefix}{file}")) == str(file)
    assert Path(file.log).parent == Path(str(file)).parent == Path(file.directory)


@given(TASKS, NAMES, PREFIXES)
def test_a_file_of_features_is_parsed_as_it_was_formatted(task, evaluation, prefix):
    assert features_of(f"{prefix}{task.features(evaluation)}") == (task, evaluation)


@given(NAMES)
def test_a_study_finds_the_directory_that_its_paths_count_from(name):
    folder = StudyFolder(name)
    for root in (Path("/scratch/me"), Path("ssl").absolute()):
        assert StudyFolder.root_of(root / str(folder)) == root
    files = (folder.study, folder.plan, folder.page, folder.workflow)
    assert {Path(file).parent for file in files} == {Path(str(folder))}


@given(TASKS, NAMES, NAMES)
def test_the_patterns_of_the_workflow_are_those_paths(task, evaluation, probes):
    assert layout.TASK_FOLDER.format(**vars(task)) == str(task)
    stem = layout.PROBES.format(evaluation=evaluation, probes=probes)
    assert f"{task}/{stem}.json" == str(ProbeFile(task, evaluation, probes))
    assert f"{task}/{layout.FEATURES.format(evaluation=evaluation)}.npz" == task.features(evaluation)


TASK = "results/digits-domain2/conv3/simclr/cassle/seed0/task1"
UNTRAINED = "results/digits-domain2/conv3/random/seed0"


@pytest.mark.parametrize(
    ("parse", "path", "message"),
    [
        (TaskFolder.parse, "", "too few components"),
        (TaskFolder.parse, "seed0/task1", "too few components"),
        (TaskFolder.parse, UNTRAINED.replace("results", "a/b"), "'random' should be 'seed' and a number"),
        (TaskFolder.parse, TASK.replace("seed0", "seed"), "'seed' should be 'seed' and a number; rename"),
        (TaskFolder.parse, TASK.replace("seed0", "seed-1"), "'seed-1' should be 'seed' and a number"),
        (TaskFolder.parse, TASK.replace("seed0", "seed00"), "'seed00' should be 'seed' and a number"),
        (TaskFolder.parse, TASK.replace("seed0", "0"), "'0' should be 'seed' and a number"),
        (TaskFolder.parse, TASK.replace("task1", "task1.old"), r"'task1\.old' should be 'task' and a number"),
        (TaskFolder.parse, TASK.replace("task1", "task²"), "'task²' should be 'task' and a number"),
        (TaskFolder.parse, f"{TASK}/checkpoint.pt", "should be 'seed' and a number"),
        (RandomFolder.parse, "random/seed0", "too few components"),
        (RandomFolder.parse, UNTRAINED.replace("random", "simclr"), "not the directory of an untrained network"),
        (RandomFolder.parse, UNTRAINED.replace("seed0", "seed0x"), "'seed0x' should be 'seed' and a number"),
        (ProbeFile.parse, f"{TASK}/probes/digits-domain2/knn.txt", "not a file of accuracies"),
        (ProbeFile.parse, f"{TASK}/probes/knn.json", "not a file of accuracies"),
        (ProbeFile.parse, f"{TASK}/train.json", "not a file of accuracies"),
        (ProbeFile.parse, "knn.json", "not a file of accuracies"),
        (ProbeFile.parse, "probes/digits-domain2/knn.json", "not a file of accuracies"),
        (ProbeFile.parse, f"{TASK}x/probes/digits-domain2/knn.json", "'task1x' should be 'task' and a number"),
        (features_of, "features/digits-domain2.npz", "not a file of features"),
        (features_of, f"{TASK}/features/digits-domain2.pdf", "not a file of features"),
        (features_of, f"{TASK}/figures/digits-domain2.npz", "not a file of features"),
    ],
)
def test_any_other_path_is_refused_by_its_name(parse, path, message):
    with pytest.raises(DataError, match=message) as error:
        parse(path)
    assert str(error.value).startswith(path.partition("/probes/")[0])
