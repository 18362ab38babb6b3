"""Checkpoints: two rooms that come back as they were, a name for what they hold, and refusals in one line."""

import contextlib
import json
import re

import pytest
import torch
from torch import nn

from cassle.core.errors import CheckpointError
from cassle.core.files import save_tensors
from cassle.models.checkpoints import FORMAT, Checkpoint, load_checkpoint, load_into, save_checkpoint
from tests.unit.specs import changed, provenance, train_specs

MADE = provenance(train_specs(stream="digits-domain2", objective="simclr", strategy="finetune")[0], parent="00ff")


def rooms():
    """Tensors of several types and shapes: what a network and a strategy hold."""
    draw = torch.Generator().manual_seed(0)
    model = {
        "weight": torch.randn(4, 3, generator=draw),
        "steps": torch.tensor(7),
        "half": torch.randn(5, generator=draw).bfloat16(),
    }
    return model, {"queue": torch.randn(2, 6, generator=draw), "full": torch.tensor([True, False])}


def checkpoint(**changes):
    model, strategy = rooms()
    return Checkpoint(**{"model": model, "strategy": strategy, "provenance": MADE, **changes})


def refusal(path):
    """The message with which a file is refused; a single line that names the file."""
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path):
    saved = checkpoint()
    save_checkpoint(tmp_path / "deep" / "checkpoint.pt", saved)
    loaded = load_checkpoint(tmp_path / "deep" / "checkpoint.pt")
    for before, after in ((saved.model, loaded.model), (saved.strategy, loaded.strategy)):
        assert list(after) == list(before)
        assert all(after[key].dtype == before[key].dtype for key in before)
        assert all(torch.equal(after[key], before[key]) for key in before)
    assert loaded.provenance == MADE
    assert loaded.fingerprint == saved.fingerprint


def test_a_strategy_without_tensors_leaves_an_empty_room(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", checkpoint(strategy={}))
    assert load_checkpoint(tmp_path / "checkpoint.pt").strategy == {}


def test_parameters_are_saved_without_their_gradients(tmp_path):
    layer = nn.Linear(3, 2)
    layer(torch.ones(1, 3)).sum().backward()
    save_checkpoint(tmp_path / "checkpoint.pt", checkpoint(model=layer.state_dict(keep_vars=True)))
    loaded = load_checkpoint(tmp_path / "checkpoint.pt").model
    assert torch.equal(loaded["weight"], layer.weight)
    assert not loaded["weight"].requires_grad
    assert type(loaded["weight"]) is torch.Tensor


def test_the_fingerprint_does_not_depend_on_the_bytes_of_the_file(tmp_path):
    model, strategy = rooms()
    # The same content, written in another order and laid out otherwise in memory.
    turned = {key: value.t().contiguous().t() if value.ndim == 2 else value for key, value in reversed(model.items())}
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    save_checkpoint(one, checkpoint())
    reordered = changed(MADE, versions=dict(reversed(MADE.versions.items())))
    save_checkpoint(two, Checkpoint(turned, dict(reversed(strategy.items())), reordered))
    assert one.read_bytes() != two.read_bytes()
    assert load_checkpoint(one).fingerprint == load_checkpoint(two).fingerprint


def test_the_fingerprint_is_sixteen_hexadecimal_digits():
    assert re.fullmatch("[0-9a-f]{16}", checkpoint().fingerprint)


def other_bit(model, strategy):
    model["weight"][1, 2] = torch.nextafter(model["weight"][1, 2], torch.tensor(9.0))


def other_type(model, strategy):
    model["steps"] = model["steps"].int()


def other_shape(model, strategy):
    model["weight"] = model["weight"].reshape(3, 4)


def other_key(model, strategy):
    model["bias"] = model.pop("weight")


def other_room(model, strategy):
    strategy["weight"] = model.pop("weight")


def other_memory(model, strategy):
    strategy["queue"][0, 0] += 1


@pytest.mark.parametrize("change", [other_bit, other_type, other_shape, other_key, other_room, other_memory])
def test_the_fingerprint_depends_on_every_tensor(change):
    model, strategy = rooms()
    change(model, strategy)
    assert Checkpoint(model, strategy, MADE).fingerprint != checkpoint().fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"parent": None},
        {"memory": "00ff"},
        {"data": "other"},
        {"code": "other"},
        {"versions": {"torch": "3"}},
        {"spec": {"seed": 4}},
        {"spec": {"training": {"epochs": 4}}},
    ],
    ids=str,
)
def test_the_fingerprint_depends_on_what_made_the_tensors(changes):
    assert checkpoint(provenance=changed(MADE, **changes)).fingerprint != checkpoint().fingerprint


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_a_strict_load_gives_the_network_exactly_the_saved_tensors():
    one, two = network(), network()
    load_into(two, one.state_dict(), "old.pt")
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: [own.pop(key) for key in ("1.bias", "0.weight", "0.bias")], "3 missing (first: 0.bias)"),
        (lambda own: own.update(extra=torch.zeros(1), more=torch.zeros(1)), "2 unexpected (first: extra)"),
        (
            lambda own: own.update({"0.weight": torch.zeros(4, 5)}),
            "1 of another shape (first: 0.weight is (4, 5) there, (4, 3) here)",
        ),
        (
            lambda own: own.update(extra=own.pop("0.bias"), **{"1.weight": torch.zeros(2), "1.bias": torch.zeros(2)}),
            "1 missing (first: 0.bias); 1 unexpected (first: extra); "
            "2 of another shape (first: 1.bias is (2,) there, (4,) here)",
        ),
    ],
    ids=["missing", "unexpected", "shape", "everything"],
)
def test_a_strict_load_says_in_one_line_what_differs_and_changes_nothing(change, said):
    module = network()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    tensors = {key: torch.full_like(value, 5) for key, value in before.items()}
    change(tensors)
    with pytest.raises(CheckpointError) as error:
        load_into(module, tensors, "old.pt")
    assert str(error.value) == f"old.pt does not fit this network: tensors {said}. Is it of another backbone?"
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused_by_name_with_what_to_do(tmp_path, share):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, checkpoint())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refusal(path)
    assert "damaged" in message
    assert "delete it and run the workflow again" in message


def test_a_file_with_a_changed_tensor_is_refused_or_has_another_fingerprint(tmp_path):
    path, weight = tmp_path / "checkpoint.pt", torch.arange(1000, 2000, dtype=torch.float64)
    saved = checkpoint(model={"weight": weight})
    save_checkpoint(path, saved)
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes()) + 100] ^= 1
    path.write_bytes(content)
    with contextlib.suppress(CheckpointError):
        assert load_checkpoint(path).fingerprint != saved.fingerprint


def test_a_missing_file_is_named():
    assert refusal("nowhere/checkpoint.pt").startswith("there is no checkpoint nowhere/checkpoint.pt")


@pytest.mark.parametrize("value", [network().state_dict(), torch.zeros(3), [], 5, None], ids=lambda v: type(v).__name__)
def test_a_file_of_other_software_is_told_from_a_checkpoint(tmp_path, value):
    torch.save(value, tmp_path / "checkpoint.pt")
    message = refusal(tmp_path / "checkpoint.pt")
    assert message.endswith("is not a checkpoint of this software: it has no parts 'model' and 'strategy'")


def test_a_file_that_holds_no_tensors_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_text(json.dumps({"format": FORMAT, "model": {}, "strategy": {}, "provenance": {}}))
    assert "was not written by this software" in refusal(path)


COMPLETE = {"format": FORMAT, "model": {}, "strategy": {}, "provenance": MADE.as_json()}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("format", "is not a checkpoint of this software"),
        ("model", "is damaged: its part 'model' holds no named tensors; retrain it"),
        ("strategy", "is damaged: its part 'strategy' holds no named tensors; retrain it"),
        ("provenance", "provenance: it holds no keys and values"),
    ],
)
def test_a_checkpoint_without_one_of_its_parts_is_refused(tmp_path, part, message):
    save_tensors(tmp_path / "checkpoint.pt", {key: value for key, value in COMPLETE.items() if key != part})
    assert message in refusal(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("part", ["model", "strategy"])
@pytest.mark.parametrize("content", [{"weight": 3}, [torch.zeros(2)], None])
def test_a_part_that_holds_anything_but_named_tensors_is_refused(tmp_path, part, content):
    save_tensors(tmp_path / "checkpoint.pt", {**COMPLETE, part: content})
    assert f"is damaged: its part '{part}' holds no named tensors" in refusal(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("content", [None, [], 3, {"spec": {}}, {**MADE.as_json(), "code": 3}, {"version": 2}])
def test_a_checkpoint_with_another_provenance_is_refused(tmp_path, content):
    save_tensors(tmp_path / "checkpoint.pt", {**COMPLETE, "provenance": content})
    assert refusal(tmp_path / "checkpoint.pt").endswith("delete that file and run the workflow again")


@pytest.mark.parametrize("other", [FORMAT - 1, FORMAT + 1])
def test_a_checkpoint_of_another_format_is_refused_with_both_numbers(tmp_path, other):
    path = tmp_path / "checkpoint.pt"
    save_tensors(path, {"format": other, "model": {}, "strategy": {}, "provenance": {}})
    assert f"has checkpoint format {other}, this version reads {FORMAT}; retrain it" in refusal(path)
