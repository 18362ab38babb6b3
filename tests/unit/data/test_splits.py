"""The split: who sees which image, and what is said about a file that is none."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import DataError, SettingsError
from cassle.data.base import Index, Part, datasets, write_index
from cassle.data.splits import Split, check_tasks, describe, random_parts, read_split, split, write_split
from cassle.data.streams import Stream, class_order

untimed = settings(deadline=None)
DOMAINS = datasets.get("digits").domains


def made_index(seed=0, classes=10, domains=6, train=120, test=40):
    rng = np.random.default_rng(seed)
    halves = [Part(rng.integers(classes, size=n), rng.integers(domains, size=n)) for n in (train, test)]
    return Index("digits", tuple(map(str, range(classes))), DOMAINS[:domains], *halves, "0" * 16)


indexes = st.builds(
    made_index,
    st.integers(0, 99),
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(0, 80),
    st.integers(0, 40),
)


@st.composite
def cuts(draw, *scenarios):
    """An index and a stream that fits it."""
    index = draw(indexes)
    scenario = draw(st.sampled_from(scenarios))
    most = {"class": index.num_classes, "domain": len(index.domains), "data": 9, "all": 1}[scenario]
    orders = st.one_of(st.integers(0, 99), st.permutations(range(index.num_classes)), st.just("paper"))
    order = draw(orders) if scenario == "class" else "paper"
    tasks = draw(st.integers(1, most))
    return index, Stream(dataset="digits", scenario=scenario, tasks=tasks, class_order=order)


def same(one, other):
    return (
        (one.stream, one.names, one.classes) == (other.stream, other.names, other.classes)
        and np.array_equal(one.train_task, other.train_task)
        and np.array_equal(one.test_task, other.test_task)
    )


@untimed
@given(cuts("class", "data", "all"))
def test_every_image_of_a_class_data_or_all_stream_is_in_exactly_one_task(cut):
    index, stream = cut
    made = split(stream, index)
    for half, tasks in ((index.train, made.train_task), (index.test, made.test_task)):
        assert tasks.shape == half.labels.shape
        assert tasks.dtype == np.int16
        assert set(tasks.tolist()) <= set(range(stream.tasks))
    assert len(made.names) == len(made.classes) == stream.tasks


@untimed
@given(cuts("class"))
def test_class_tasks_share_no_class_leave_none_out_and_hold_the_images_of_their_classes(cut):
    index, stream = cut
    made = split(stream, index)
    assert sorted(c for classes in made.classes for c in classes) == list(range(index.num_classes))
    for half, tasks in ((index.train, made.train_task), (index.test, made.test_task)):
        for task, classes in enumerate(made.classes):
            assert np.array_equal(tasks == task, np.isin(half.labels, classes))


@untimed
@given(cuts("class"))
def test_class_tasks_take_consecutive_classes_of_the_order_in_parts_as_equal_as_can_be(cut):
    index, stream = cut
    made = split(stream, index)
    sizes = [len(classes) for classes in made.classes]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1
    order = class_order(stream, index.num_classes)
    for classes in made.classes:
        assert classes == sorted(order[: len(classes)])
        order = order[len(classes) :]


@untimed
@given(cuts("data"))
def test_data_tasks_are_equal_parts_and_the_first_also_takes_the_remainder(cut):
    index, stream = cut
    made = split(stream, index)
    for tasks in (made.train_task, made.test_task):
        share, rest = divmod(len(tasks), stream.tasks)
        sizes = np.bincount(tasks, minlength=stream.tasks).tolist()
        assert sizes == [share + rest] + [share] * (stream.tasks - 1)
    assert made.classes == [list(range(index.num_classes))] * stream.tasks


def test_parts_are_cut_from_the_permutation_that_torch_draws_from_the_seed_of_the_original_release():
    order = torch.randperm(11, generator=torch.Generator().manual_seed(42))
    parts = random_parts(11, 3)
    for task, part in enumerate(order.split([5, 3, 3])):
        assert np.flatnonzero(parts == task).tolist() == sorted(part.tolist())


def test_data_tasks_are_drawn_at_random_whatever_the_labels():
    sorted_labels = Part(np.repeat(np.arange(10), 100), np.zeros(1000, dtype=np.int64))
    index = Index("digits", tuple("0123456789"), ("plain",), sorted_labels, sorted_labels, "0" * 16)
    made = split(Stream(dataset="digits", scenario="data", tasks=5), index)
    counts = np.array([np.bincount(sorted_labels.labels[made.train_task == task]) for task in range(5)])
    # Each count is hypergeometric with mean 20 and standard deviation below 4: five of them are 20.
    assert counts.shape == (5, 10)
    assert (np.abs(counts - 20) < 20).all()


@untimed
@given(cuts("domain"))
def test_a_domain_task_holds_all_images_of_its_domain_and_no_others(cut):
    index, stream = cut
    made = split(stream, index)
    assert made.names == list(index.domains[: stream.tasks])
    for half, tasks in ((index.train, made.train_task), (index.test, made.test_task)):
        assert np.array_equal(tasks, np.where(half.domains < stream.tasks, half.domains, -1))


@untimed
@given(st.lists(st.sampled_from(DOMAINS), min_size=1, unique=True), indexes)
def test_domains_come_in_the_order_given(order, index):
    order = [domain for domain in order if domain in index.domains] or [index.domains[0]]
    stream = Stream(dataset="digits", scenario="domain", tasks=len(order), domain_order=order)
    made = split(stream, index)
    assert made.names == order
    for task, domain in enumerate(order):
        assert np.array_equal(made.train_task == task, index.train.domains == index.domains.index(domain))
    others = [number for number, domain in enumerate(index.domains) if domain not in order]
    assert np.array_equal(made.train_task == -1, np.isin(index.train.domains, others))


@untimed
@given(cuts("class", "data", "domain", "all"))
def test_the_same_stream_is_cut_the_same_way_twice(cut):
    index, stream = cut
    assert same(split(stream, index), split(stream, index))


@pytest.mark.parametrize("order", [1, 2, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]])
def test_another_order_of_classes_is_another_split(order):
    index = made_index()
    paper = split(Stream.parse("digits-class5"), index)
    other = split(Stream.parse("digits-class5", class_order=order), index)
    assert other.stream != paper.stream
    assert other.classes != paper.classes
    assert not np.array_equal(other.train_task, paper.train_task)


def test_a_seed_of_classes_is_the_first_permutation_torch_draws_with_it():
    """So are the class orders of the published streams made."""
    for seed in (5, 6):
        stream = Stream(dataset="digits", scenario="class", tasks=5, class_order=seed)
        drawn = torch.randperm(100, generator=torch.Generator().manual_seed(seed)).tolist()
        assert class_order(stream, 100) == drawn
        assert split(stream, made_index(classes=100)).classes[1] == sorted(drawn[20:40])


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 0, *range(2, 10)], list(range(1, 11))])
def test_an_order_that_does_not_name_each_class_once_is_refused(order):
    stream = Stream(dataset="digits", scenario="class", tasks=2, class_order=order)
    with pytest.raises(SettingsError, match="class_order must name each class from 0 to 9 once"):
        split(stream, made_index())


def test_what_the_index_holds_decides_where_facts_are_not_known_beforehand():
    stream = Stream(dataset="digits", scenario="class", tasks=5)
    stream.check(None, ())
    with pytest.raises(SettingsError, match="only 4 classes"):
        split(stream, made_index(classes=4))


@settings(untimed, max_examples=30)
@given(cuts("class", "data", "domain", "all"))
def test_a_split_is_read_as_it_was_written(tmp_path_factory, cut):
    index, stream = cut
    path = tmp_path_factory.mktemp("split") / "split.npz"
    made = split(stream, index)
    write_split(path, made)
    assert same(read_split(path), made)


def emptied(content):
    return b""


def replaced(content):
    return b"no archive at all"


def cut_short(content):
    return content[: len(content) // 2]


def with_other_bits(content):
    start = content.find(b"facts.npy") + 50
    changed = bytes(byte ^ 0xFF for byte in content[start : start + 20])
    return content[:start] + changed + content[start + 20 :]


@pytest.mark.parametrize("damaged", [emptied, replaced, cut_short, with_other_bits])
def test_a_damaged_split_is_named_with_what_to_do(tmp_path, damaged):
    path = tmp_path / "split.npz"
    write_split(path, split(Stream.parse("digits-class5"), made_index()))
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(DataError) as error:
        read_split(path)
    assert str(path) in str(error.value)
    assert "delete it and make it anew with `cassle split`" in str(error.value)


def test_a_missing_split_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "split.npz"
    with pytest.raises(DataError, match=f"there is no split {path}; make it with `cassle split`"):
        read_split(path)


def write_other_index(path):
    write_index(path, made_index())


def write_other_facts(path):
    np.savez(path, facts=np.array("[1, 2]"), train_task=np.zeros(1), test_task=np.zeros(1))


def write_no_json(path):
    np.savez(path, facts=np.array("{"), train_task=np.zeros(1), test_task=np.zeros(1))


def write_single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize("write", [write_other_index, write_other_facts, write_no_json, write_single_array])
def test_a_file_of_another_kind_is_not_taken_for_a_split(tmp_path, write):
    path = tmp_path / "split.npz"
    write(path)
    with pytest.raises(DataError) as error:
        read_split(path)
    assert str(path) in str(error.value)
    assert "delete it and" in str(error.value)
    assert "`cassle split`" in str(error.value)


def test_a_split_is_described_as_a_table_of_its_tasks():
    made = Split(
        "digits-class2",
        ["classes 1", "classes 2"],
        [[0, 1], list(range(2, 32))],
        np.array([0, 0, 1, -1], dtype=np.int16),
        np.array([1, 1], dtype=np.int16),
    )
    assert describe(made).splitlines() == [
        "# digits-class2",
        "",
        "| task | name | training images | test images | classes |",
        "|---|---|---|---|---|",
        "| 0 | classes 1 | 2 | 0 | 0, 1 |",
        "| 1 | classes 2 | 1 | 2 | 30 classes |",
    ]


@pytest.mark.parametrize(
    ("train", "test", "half"), [([0, 0, 2], [0, 1, 2], "training"), ([0, 1, 2], [2, -1, 0], "test")]
)
def test_a_task_without_images_is_refused_by_name(train, test, half):
    tasks = [np.array(values, dtype=np.int16) for values in (train, test)]
    made = Split("digits-class3", ["classes 1", "classes 2", "classes 3"], [[0], [1], [2]], *tasks)
    with pytest.raises(DataError, match=re.escape(f"digits-class3: task 1 (classes 2) has no {half} images; make")):
        check_tasks(made)


def test_tasks_with_images_pass():
    check_tasks(split(Stream.parse("digits-class5"), made_index(train=500, test=500)))
