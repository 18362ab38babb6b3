"""Settings in the user's words: what is wrong, where, and what was meant; merging and comparing."""

from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from cassle.core.errors import SettingsError
from cassle.core.options import Area, Options, Range, differences, merged, parse

untimed = settings(deadline=None)


class Leaf(Options):
    weight: float = Field(1.0, ge=0, description="how much it counts")
    depth: int = Field(1, description="how deep it is")


class Sgd(Options):
    name: Literal["sgd"] = Field(description="plain descent")
    momentum: float = Field(0.9, description="share of the last step")


class Lars(Options):
    name: Literal["lars"] = Field(description="layer-wise rates")
    trust: float = Field(0.02, description="trust in a layer's rate")


class Tree(Options):
    leaf: Leaf = Field(default_factory=Leaf, description="one leaf")
    leaves: list[Leaf] = Field(default_factory=list, description="several leaves")
    pair: tuple[Leaf, Leaf] | None = Field(None, description="two leaves")
    named: dict[str, Leaf] = Field(default_factory=dict, description="leaves by name")
    either: Leaf | int = Field(1, description="a leaf or a number")
    optimizer: Annotated[Sgd | Lars, Field(discriminator="name")] | None = Field(None, description="by its name")
    optimizers: list[Annotated[Sgd | Lars, Field(discriminator="name")]] = Field(
        default_factory=list, description="several, by their names"
    )
    size: int = Field(description="no default")


def refusal(**values):
    with pytest.raises(SettingsError) as error:
        parse(Tree, {"size": 1} | values, "tree.yaml")
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "key", "meant"),
    [
        ({"leafs": []}, "leafs", "leaf"),
        ({"leaf": {"weigth": 1}}, "leaf.weigth", "weight"),
        ({"leaves": [{}, {"dept": 1}]}, "leaves.1.dept", "depth"),
        ({"pair": [{}, {"dept": 1}]}, "pair.1.dept", "depth"),
        ({"named": {"oak": {"weigh": 1}}}, "named.oak.weigh", "weight"),
        ({"optimizer": {"name": "sgd", "momentun": 1}}, "optimizer.momentun", "momentum"),
        ({"optimizers": [{"name": "lars", "trusd": 1}]}, "optimizers.0.trusd", "trust"),
    ],
)
def test_an_unknown_key_is_named_by_its_place_with_the_nearest_known_one(values, key, meant):
    assert refusal(**values) == f"tree.yaml: unknown key '{key}': did you mean '{meant}'?"


def test_an_unknown_key_in_one_of_several_kinds_of_values_names_the_nearest():
    assert "weigth': did you mean 'weight'?" in refusal(either={"weigth": 1})


def test_an_unknown_key_like_no_other_is_answered_with_all_that_are_known():
    assert refusal(leaf={"xyz": 1}) == "tree.yaml: unknown key 'leaf.xyz': known: depth, weight"


def test_every_error_has_a_line_of_its_own():
    lines = refusal(leafs=1, leaf={"weight": -1, "dept": 2}).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("tree.yaml: ") for line in lines)


def test_a_missing_key_is_named():
    with pytest.raises(SettingsError) as error:
        parse(Tree, {}, "tree.yaml")
    assert str(error.value) == "tree.yaml: 'size' is missing"


def test_an_impossible_value_is_named_with_what_was_expected():
    message = refusal(leaf={"weight": -2.5})
    assert message == "tree.yaml: 'leaf.weight' = -2.5: Input should be greater than or equal to 0"


def test_a_number_that_yaml_reads_as_text_gets_a_hint():
    assert "write 3.0e-4" in refusal(leaf={"depth": "3e-4"})
    assert "YAML" not in refusal(leaf={"depth": "3 4"})
    assert "YAML" not in refusal(leaf={"depth": 0.5})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"leaves": "oak"}, "'leaves' = 'oak': must be a list, such as [oak]"),
        ({"leaf": "oak"}, "'leaf' = 'oak': must hold keys and values, such as {key: value}"),
        ({"named": 3}, "'named' = 3: must hold keys and values, such as {key: value}"),
        ({"leaf": {"depth": "one"}}, "'leaf.depth' = 'one': must be a whole number"),
        ({"leaf": {"weight": "much"}}, "'leaf.weight' = 'much': must be a number"),
        ({"leaf": {"weight": None}}, "'leaf.weight' = None: must be a number"),
    ],
)
def test_a_value_of_another_type_is_told_in_words_of_yaml(values, said):
    assert refusal(**values) == f"tree.yaml: {said}"


def test_good_values_become_typed_and_are_not_changed():
    values = {"size": 2, "leaves": [{"weight": 3}], "optimizer": {"name": "lars"}}
    tree = parse(Tree, values, "tree.yaml")
    assert tree.leaves == [Leaf(weight=3.0)]
    assert tree.optimizer == Lars(name="lars", trust=0.02)
    assert values == {"size": 2, "leaves": [{"weight": 3}], "optimizer": {"name": "lars"}}


def test_settings_cannot_be_changed_once_made():
    leaf = Leaf()
    with pytest.raises(ValidationError, match="frozen"):
        leaf.weight = 2.0


mappings = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
roots = st.dictionaries(st.sampled_from("abcd"), mappings, max_size=3)


@untimed
@given(roots, roots)
def test_merging_nothing_and_merging_twice_change_nothing(base, changes):
    assert merged(base, {}) == base
    assert merged({}, base) == base
    once = merged(base, changes)
    assert merged(once, changes) == once


@untimed
@given(roots, roots)
def test_merging_keeps_what_is_not_changed_and_leaves_its_inputs_alone(base, changes):
    before = (repr(base), repr(changes))
    result = merged(base, changes)
    assert (repr(base), repr(changes)) == before
    assert set(result) == set(base) | set(changes)
    for key, value in result.items():
        if key not in changes:
            assert value == base[key]
        elif not (isinstance(base.get(key), dict) and isinstance(changes[key], dict)):
            assert value == changes[key]
        else:
            assert value == merged(base[key], changes[key])


def test_merging_replaces_a_thing_of_another_name_whole():
    base = {"optimizer": {"name": "sgd", "momentum": 0.9}, "epochs": 3}
    assert merged(base, {"optimizer": {"name": "lars"}}) == {"optimizer": {"name": "lars"}, "epochs": 3}
    assert merged(base, {"optimizer": {"name": "sgd", "lr": 1}})["optimizer"] == {
        "name": "sgd",
        "momentum": 0.9,
        "lr": 1,
    }
    assert merged(base, {"optimizer": {"lr": 1}})["optimizer"] == {"name": "sgd", "momentum": 0.9, "lr": 1}
    assert merged(base, {"optimizer": "lars"})["optimizer"] == "lars"


@untimed
@given(roots)
def test_equal_settings_have_no_differences(value):
    assert differences(value, merged({}, value)) == {}


@untimed
@given(roots, st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(10, 20))
def test_a_changed_value_is_found_under_its_dotted_key(base, outer, inner, value):
    base = {**base, outer: {inner: 1}}
    assert differences(base, merged(base, {outer: {inner: value}})) == {f"{outer}.{inner}": value}


def test_differences_are_named_down_to_the_entry_of_a_list():
    base = {"views": [{"size": 32, "blur": 0.5}, {"size": 32, "blur": 0.0}], "milestones": [60, 80], "seed": 1}
    other = {"views": [{"size": 32, "blur": 0.5}, {"size": 32, "blur": 0.1}], "milestones": [60, 90], "seed": 1}
    assert differences(base, other) == {"views.1.blur": 0.1, "milestones.1": 90}


def test_a_list_of_another_length_differs_as_a_whole():
    assert differences({"a": {"list": [1, 2]}}, {"a": {"list": [1]}}) == {"a.list": [1]}


def test_keys_that_are_new_or_gone_are_differences():
    assert differences({"a": 1}, {"b": 2}) == {"a": None, "b": 2}
    assert differences({}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_kinds_of_value_that_one_place_takes_are_told_in_one_line_at_the_key_as_it_is_written():
    assert refusal(either="big") == (
        "tree.yaml: 'either' = 'big': must hold keys and values, such as {key: value}, or must be a whole number"
    )


@pytest.mark.parametrize(
    ("kind", "pair"), [(Area, (-1, -0.5)), (Area, (1, 0.2)), (Area, (0.5, 1.5)), (Range, (0, 1)), (Range, (2, 1))]
)
def test_impossible_ranges_are_refused(kind, pair):
    adapter = TypeAdapter(kind)
    assert adapter.validate_python((0.2, 0.2)) == (0.2, 0.2)
    with pytest.raises(ValidationError):
        adapter.validate_python(pair)
