"""The stream: its name, its order of classes, and what is said about a stream that cannot be."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import SettingsError
from cassle.data.base import datasets
from cassle.data.streams import Stream, class_order

untimed = settings(deadline=None)
DOMAINS = datasets.get("digits").domains


@untimed
@given(st.integers(0, 2**40), st.integers(1, 40))
def test_a_seed_of_classes_gives_each_class_once(seed, classes):
    stream = Stream(dataset="digits", scenario="class", tasks=1, class_order=seed)
    assert sorted(class_order(stream, classes)) == list(range(classes))


def test_the_order_of_the_paper_is_the_datasets_own_where_it_has_one(monkeypatch):
    stream = Stream.parse("digits-class5")
    assert class_order(stream, 10) == list(range(10))
    own = (3, 1, 4, 5, 9, 2, 6, 8, 7, 0)
    monkeypatch.setattr(datasets.get("digits"), "class_order", own)
    assert class_order(stream, 10) == list(own)


@untimed
@given(st.sampled_from(["class", "data", "domain"]), st.integers(1, 6))
def test_a_stream_is_named_as_it_is_written(scenario, tasks):
    text = f"digits-{scenario}{tasks}"
    stream = Stream.parse(text)
    assert (stream.dataset, stream.scenario, stream.tasks, stream.name) == ("digits", scenario, tasks, text)


def test_the_number_of_tasks_may_be_left_out_where_the_dataset_says_it():
    assert Stream.parse("digits-all").tasks == 1
    assert Stream.parse("digits-all").name == "digits-all"
    assert Stream.parse("digits-domain") == Stream.parse("digits-domain6")


@untimed
@given(st.one_of(st.integers(0, 10**6), st.permutations(range(10))))
def test_an_order_of_ones_own_shows_in_the_name_which_stays_a_plain_folder_name(order):
    stream = Stream.parse("digits-class5", class_order=order)
    assert stream.name.startswith("digits-class5~")
    assert re.fullmatch(r"[A-Za-z0-9_=,~-]+", stream.name)
    assert stream.name == Stream.parse("digits-class5", class_order=order).name


def test_orders_of_ones_own_are_told_apart_by_name():
    classes = [{}, {"class_order": 1}, {"class_order": 7}, {"class_order": [*range(1, 10), 0]}]
    domains = [{}, {"domain_order": list(DOMAINS[::-1])}, {"domain_order": [*DOMAINS[1:], DOMAINS[0]]}]
    assert Stream.parse("digits-class5", class_order=7).name == "digits-class5~class_order=7"
    assert len({Stream.parse("digits-class5", **order).name for order in classes}) == len(classes)
    assert len({Stream.parse("digits-domain6", **order).name for order in domains}) == len(domains)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("digits", {}, "'digits' is not a stream: write dataset, scenario and tasks, such as cifar100-class5"),
        ("Digits class5", {}, "'Digits class5' is not a stream"),
        ("digit-class5", {}, "there is no dataset 'digit': did you mean 'digits'?"),
        ("digits-clas5", {}, "stream digits-clas5: there is no scenario 'clas': did you mean 'class'?"),
        ("digits-xyz5", {}, "known: all, class, data, domain"),
        ("digits-class11", {}, "digits-class11: digits has only 10 classes"),
        ("digits-domain7", {}, f"digits-domain7: digits has 6 domains: {', '.join(DOMAINS)}"),
        ("digits-all2", {}, "digits-all has one task, not 2"),
        ("digits-class", {}, "stream digits-class: write the number of tasks behind it, such as digits-class5"),
        ("digits-data0", {}, "stream digits-data0: 'tasks' = 0"),
        ("digits-class5", {"clas_order": 1}, "unknown key 'clas_order': did you mean 'class_order'?"),
        ("digits-class5", {"class_order": "alphabet"}, "stream digits-class5: 'class_order"),
        ("digits-domain2", {"domain_order": ["plain", "inverte"]}, "no domain 'inverte': did you mean 'inverted'?"),
        ("digits-data5", {"class_order": 1}, "class_order belongs to class-incremental streams"),
        ("digits-class5", {"domain_order": ["plain"]}, "domain_order belongs to domain-incremental streams"),
        ("digits-domain2", {"domain_order": ["plain"]}, "domain_order must name 2 different domains"),
        ("digits-domain2", {"domain_order": ["plain", "plain"]}, "domain_order must name 2 different domains"),
        ("digits-domain2", {"domain_order": ["plain", "plain", "edges"]}, "must name 2 different domains"),
    ],
)
def test_an_impossible_stream_is_refused_with_what_is_wrong(text, options, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        Stream.parse(text, **options)


def test_settings_of_the_dataset_that_determine_results_show_in_the_name_and_places_do_not():
    def stream(**settings):
        return Stream.parse("folder-class2", {"folder": settings, "digits": {}})

    assert stream(root="/a") == stream(root="/b") == stream()
    assert stream(image_size=96).name == "folder-class2~image_size=96"
    assert stream(image_size=224).name == "folder-class2"
    assert stream(test_share=0.5, split_seed=3).name == "folder-class2~split_seed=3~test_share=0.5"
    assert re.fullmatch(r"folder-class2~[0-9a-f]{10}", stream(mean=[0.4511, 0.4552, 0.4153]).name)


def test_what_leaves_the_index_as_it_is_does_not_show_in_its_name():
    used = Stream.parse("folder-class2", {"folder": {"image_size": 96, "mean": [0.1, 0.1, 0.1], "split_seed": 3}})
    assert used.index == "folder~split_seed=3"
    assert {"layout", "split_seed", "test_share", "test_folder", "on_bad_image"} == set(used.index_data)


def test_a_stream_opens_its_dataset_with_its_own_settings_at_the_place_it_is_told():
    stream = Stream.parse("folder-class2", {"folder": {"image_size": 96, "root": "/a"}})
    opened = stream.open({"folder": {"root": "/b", "image_size": 32}})
    assert (opened.image_size, opened.settings.root) == (96, "/b")


def test_an_order_of_domains_may_come_before_the_domains_are_known():
    stream = Stream.parse("folder-domain2", domain_order=["art", "real"])
    assert stream.tasks == 2
