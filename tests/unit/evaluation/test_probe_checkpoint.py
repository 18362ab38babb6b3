"""One call evaluates one checkpoint with all probes, on one extraction of features."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cassle.evaluation.evaluations as module
from cassle.contracts.records import ProbeExecution, ProbeRecord, read_record, write_record
from cassle.core.errors import CheckpointError, DataError, DivergenceError
from cassle.data.base import Index, Part, content_fingerprint, read_index, write_index
from cassle.data.splits import split, write_split
from cassle.data.streams import Stream
from cassle.evaluation.probe_checkpoint import probe_checkpoint
from cassle.evaluation.probe_request import ProbeRequest
from cassle.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from cassle.plan.probes import probe_component, probe_spec
from cassle.settings.site import Site
from cassle.training.build import build_model
from tests.unit.specs import changed, provenance, train_specs

SITE = Site(execution={"device": "cpu", "state_minutes": 0})
CACHED = {"classifier": "linear_cached"}
SHORT = {"name": "linear", "epochs": 1}


def half(count, seed):
    """Images of ten classes in six domains: a class is a brightness, and noise."""
    draw = np.random.default_rng(seed)
    labels, domains = np.arange(count) % 10, np.arange(count) // 10 % 6
    pixels = (20 * labels[:, None, None, None] + draw.integers(0, 60, (count, 3, 16, 16))).astype(np.uint8)
    return Part(labels.astype(np.int64), domains.astype(np.int64), pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An index in the form of the digits', splits of it, and a checkpoint that saw no training."""
    place = tmp_path_factory.mktemp("evaluation")
    train, test = half(480, 0), half(240, 1)
    names = tuple(map(str, range(10)))
    domains = ("edges", "striped", "textured", "inverted", "plain", "rotated")
    write_index(place / "index.npz", Index("digits", names, domains, train, test, content_fingerprint(train, test)))
    for name in ("digits-class5", "digits-domain2", "digits-domain6"):
        write_split(place / f"{name}.npz", split(Stream.parse(name), read_index(place / "index.npz")))
    study = {"stream": "digits-class5", "objective": "simclr", "strategy": "finetune", "backbone": "conv3-narrow"}
    spec = train_specs(**study)[0]
    model = build_model(spec, 16, 10)
    save_checkpoint(place / "checkpoint.pt", Checkpoint(model.state_dict(), {}, provenance(spec)))
    return place


def with_spec(request, **changes):
    """Return a request whose specification has changed fields."""
    return replace(request, spec=changed(request.spec, **changes))


def request(folder, out, probes, stream="digits-class5", others=(), **changes):
    spec = probe_spec([probe_component(choice) for choice in probes], Stream.parse(stream), 0, {})
    splits = [folder / f"{name}.npz" for name in (stream, *others)]
    given = {"checkpoint": folder / "checkpoint.pt", **changes}
    return ProbeRequest(spec, SITE, [folder / "index.npz"] * len(splits), splits, Path(out), **given)


def test_all_probes_share_one_extraction_and_give_an_accuracy_per_task(folder, tmp_path, monkeypatch):
    extracted = []
    extract = module.features_of
    monkeypatch.setattr(module, "features_of", lambda *what: extracted.append(1) or extract(*what))
    probes = [
        "linear_cached",
        "knn",
        {"name": "knn", "features": "projector"},
        "online",
        {"name": "linear", "epochs": 2},
        {"name": "semi_10", **CACHED},
    ]
    found = probe_checkpoint(request(folder, tmp_path / "out.json", probes))
    assert len(extracted) == 2  # training and test half
    assert list(found.accuracies) == [
        "linear_cached",
        "knn",
        "knn~features=projector",
        "online",
        "linear~epochs=2",
        "semi_10~classifier=linear_cached",
    ]
    assert all(len(row) == 5 for row in found.accuracies.values())
    for label, row in found.accuracies.items():
        assert all(aware >= free for aware, free in zip(found.task_aware[label], row, strict=True))
    assert found.accuracies["linear_cached"][0] > 0.5
    assert sum(found.task_aware["online"]) > sum(found.accuracies["online"])
    assert found.own_tasks == {}
    assert read_record(ProbeRecord, tmp_path / "out.json") == found


def test_where_tasks_hold_all_classes_knowing_the_task_changes_nothing(folder, tmp_path):
    probes = ["knn", {"name": "domain_aware", **CACHED}]
    found = probe_checkpoint(request(folder, tmp_path / "out.json", probes, "digits-domain6"))
    assert found.task_aware == found.accuracies
    assert len(found.accuracies["domain_aware~classifier=linear_cached"]) == 6


def test_images_that_are_in_no_task_are_neither_trained_nor_tested_on(folder, tmp_path, monkeypatch):
    seen = []
    extract = module.features_of

    def noted(*what):
        seen.append(extract(*what))
        return seen[-1]

    monkeypatch.setattr(module, "features_of", noted)
    probe_checkpoint(request(folder, tmp_path / "out.json", ["knn"], "digits-domain2"))
    assert [len(features) for features in seen] == [160, 80]


def test_transfer_is_evaluated_on_the_tasks_of_the_other_stream(folder, tmp_path):
    probes = ["knn", {"name": "transfer", "to": "digits-domain2", **CACHED}]
    found = probe_checkpoint(request(folder, tmp_path / "out.json", probes, others=["digits-domain2"]))
    own, other = found.accuracies.values()
    assert (len(own), len(other)) == (5, 2)
    (names,) = found.own_tasks.values()
    assert names == ["digits edges", "digits striped"]
    direct = probe_checkpoint(request(folder, tmp_path / "direct.json", ["linear_cached"], "digits-domain2"))
    assert other == direct.accuracies["linear_cached"]


def test_a_file_that_was_not_given_or_is_of_another_stream_is_named(folder, tmp_path):
    transfer = [{"name": "transfer", "to": "digits-domain2", **CACHED}]
    out = tmp_path / "out.json"
    with pytest.raises(DataError, match=r"each of digits-class5, digits-domain2.* 1 were given"):
        probe_checkpoint(request(folder, out, transfer))
    with pytest.raises(DataError, match="is the split of digits-domain6, not of digits-domain2"):
        probe_checkpoint(request(folder, out, transfer, others=["digits-domain6"]))
    assert not out.exists()


def test_the_random_network_has_neither_projector_nor_online_classifier(folder, tmp_path):
    network = {"backbone": {"name": "conv3-narrow", "settings": {}}}
    asked = with_spec(request(folder, tmp_path / "out.json", ["knn"], checkpoint=None), **network)
    assert probe_checkpoint(asked).checkpoint is None
    asked = with_spec(request(folder, tmp_path / "out.json", ["online"], checkpoint=None), **network)
    with pytest.raises(CheckpointError, match="holds no online classifier"):
        probe_checkpoint(asked)


def test_the_same_request_gives_the_same_numbers_whatever_other_probes_run(folder, tmp_path):
    short = {"name": "linear", "epochs": 2}
    alone = probe_checkpoint(request(folder, tmp_path / "alone.json", [short]))
    beside = probe_checkpoint(request(folder, tmp_path / "beside.json", ["knn", "linear_cached", short]))
    assert alone.accuracies["linear~epochs=2"] == beside.accuracies["linear~epochs=2"]


def test_a_failed_evaluation_leaves_its_state_and_a_finished_one_does_not(folder, tmp_path, monkeypatch):
    out = tmp_path / "probes" / "out.json"
    probes = [{"name": "linear", "epochs": 3}, {"name": "semi_10", "classifier": {"name": "linear", "epochs": 3}}]
    whole = probe_checkpoint(request(folder, tmp_path / "whole.json", probes))
    epochs = []
    crops = module.Source.crops

    def failing(self, *what):
        if len(epochs) == 1:
            raise DivergenceError("stopped here")
        epochs.append(what)
        return crops(self, *what)

    monkeypatch.setattr(module.Source, "crops", failing)
    with pytest.raises(DivergenceError):
        probe_checkpoint(request(folder, out, probes))
    assert [path.name for path in out.parent.iterdir()] == [".out.state"]
    monkeypatch.setattr(module.Source, "crops", crops)
    assert probe_checkpoint(request(folder, out, probes)).accuracies == whole.accuracies
    assert [path.name for path in out.parent.iterdir()] == ["out.json"]


def test_an_evaluation_records_how_it_ran_and_in_which_precision_each_probe_saw_its_images(folder, tmp_path):
    probes = ["knn", SHORT, "linear_cached", {"name": "semi_10", "classifier": SHORT}]
    asked = request(folder, tmp_path / "out.json", probes)
    labels = [probe.label for probe in asked.spec.probes]
    site = Site(execution={"device": "cpu", "precision": "bf16", "threads": 2})
    assert probe_checkpoint(replace(asked, site=site)).execution == ProbeExecution(
        device="cpu",
        precision=dict(zip(labels, ["fp32", "bf16", "fp32", "bf16"], strict=True)),
        threads=2,
    )
    assert set(probe_checkpoint(asked).execution.precision.values()) == {"fp32"}


def test_the_fingerprint_of_the_code_names_the_probes_that_ran(folder, tmp_path):
    codes = [
        probe_checkpoint(request(folder, tmp_path / "out.json", [probe])).code
        for probe in ("knn", "online", {"name": "semi_10", "classifier": "knn"})
    ]
    assert len(set(codes)) == 3


MARK = 0.123456789


def marked(file, **changes):
    """Give every accuracy of a file a value that no evaluation finds."""
    found = read_record(ProbeRecord, file)
    accuracies = {label: [MARK] * len(row) for label, row in found.accuracies.items()}
    write_record(file, changed(found, accuracies=accuracies, **changes))
    return file


def test_what_a_file_of_other_probes_knows_of_the_checkpoint_is_taken_over(folder, tmp_path, monkeypatch, capsys):
    transfer = {"name": "transfer", "to": "digits-domain2", **CACHED}
    whole = probe_checkpoint(request(folder, tmp_path / "whole.json", ["knn", transfer], others=["digits-domain2"]))
    execution = {"precision": dict.fromkeys(whole.accuracies, "bf16")}
    reuse = [marked(tmp_path / "whole.json", execution=execution), tmp_path / "gone.json"]
    mixed = probe_checkpoint(request(folder, tmp_path / "mixed.json", ["online", "knn"], reuse=reuse))
    assert mixed.accuracies["knn"] == [MARK] * 5
    assert MARK not in mixed.accuracies["online"]
    assert mixed.execution.precision == {"online": "fp32", "knn": "bf16"}
    assert capsys.readouterr().out == f"knn: as in {reuse[0]}\n"
    monkeypatch.setattr(module, "features_of", lambda *what: pytest.fail("images were looked at"))
    again = request(folder, tmp_path / "again.json", [transfer], others=["digits-domain2"], reuse=reuse)
    found = probe_checkpoint(again)
    (label,) = found.accuracies
    for key in ("task_aware", "own_tasks", "identity"):
        assert getattr(found, key) == {label: getattr(whole, key)[label]}


def other_checkpoint(folder, place, monkeypatch):
    made = load_checkpoint(folder / "checkpoint.pt").provenance
    tensors = build_model(made.spec, 16, 10).state_dict()
    save_checkpoint(place / "other.pt", Checkpoint(tensors, {}, changed(made, code="other")))
    return {"checkpoint": place / "other.pt"}


def other_data(folder, place, monkeypatch):
    index = read_index(folder / "index.npz")
    write_index(place / "index.npz", replace(index, fingerprint="0" * 16))
    return {"index": [place / "index.npz"]}


def other_code(folder, place, monkeypatch):
    for place in ("probe_checkpoint", "evaluations"):
        monkeypatch.setattr(f"cassle.evaluation.{place}.code_of_probes", lambda made: "other")
    return {}


def other_execution(folder, place, monkeypatch):
    return {"site": Site(execution={"device": "cpu", "threads": 2})}


def other_precision(folder, place, monkeypatch):
    return {"site": Site(execution={"device": "cpu", "precision": "bf16"})}


def other_device(folder, place, monkeypatch):
    monkeypatch.setattr(module, "device_name", lambda device: "another processor")
    return {}


OTHERS = [other_checkpoint, other_data, other_code, other_execution, other_precision, other_device]


@pytest.mark.parametrize("change", OTHERS)
def test_what_was_found_under_other_conditions_is_found_anew(folder, tmp_path, monkeypatch, change):
    probe_checkpoint(request(folder, tmp_path / "knn.json", ["knn"]))
    changes = change(folder, tmp_path, monkeypatch)
    asked = replace(request(folder, tmp_path / "new.json", ["knn"], reuse=[marked(tmp_path / "knn.json")]), **changes)
    assert MARK not in probe_checkpoint(asked).accuracies["knn"]
    assert MARK not in probe_checkpoint(with_spec(asked, seed=1)).accuracies["knn"]


def test_a_fit_never_goes_on_from_that_of_another_network_other_data_precision_or_code(folder, tmp_path, monkeypatch):
    names, kind = [], module.StateFile
    monkeypatch.setattr(module, "StateFile", lambda where, name, *more: names.append(name) or kind(where, name, *more))
    asked = request(folder, tmp_path / "out.json", [SHORT])
    probe_checkpoint(asked)
    for change in (other_checkpoint, other_data, other_precision, other_code):
        probe_checkpoint(replace(asked, **change(folder, tmp_path, monkeypatch)))
    assert len(set(names)) == len(names) == 5


@pytest.mark.parametrize(("content", "message"), [("[1]", "holds no keys and values"), ('{"loss": 1}', "is missing")])
def test_a_file_of_something_else_is_not_taken_for_accuracies(folder, tmp_path, content, message):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(DataError, match=rf"other\.json: .*{message}.*; delete that file"):
        probe_checkpoint(request(folder, tmp_path / "out.json", ["knn"], reuse=[tmp_path / "other.json"]))
