"""Checkpoints are probed by hand: ours and those of other software."""

import json
from pathlib import Path

import torch

from cassle.cli import main
from cassle.core.files import load_tensors
from cassle.data.streams import Stream
from cassle.plan import resolve
from cassle.settings.reading import read_study
from tests.unit.cli.by_hand import INDEX, OVERRIDES, PLAN, SPLIT, TRAINING, checkpoint_of


def test_any_checkpoint_is_probed_on_any_stream_by_its_name_alone(here, capsys):
    stream = "results/digits-class5/split.npz"
    assert main(["split", "--stream", "digits-class5", "--index", INDEX, "--out", stream]) == 0
    checkpoint = str(checkpoint_of(here, 1))
    options = ["--checkpoint", checkpoint, "--stream", "digits-class5", "--probes", "knn,online", "--out", "mine.json"]
    assert main(["probe", *options]) == 0
    captured = capsys.readouterr().out
    assert {line.split()[0]: len(line.split()) - 1 for line in captured.splitlines()} == {"knn": 5, "online": 5}
    assert json.loads(Path("mine.json").read_text())["stream"] == "digits-class5"
    options[options.index("--probes") + 1] = "[{name: domain_aware, classifier: linear_cached}]"
    assert main(["probe", *options]) == 1
    assert "does not suit digits-class5" in capsys.readouterr().err


def test_a_probe_that_cannot_succeed_is_not_tried_again_in_the_same_run_but_in_the_next_one(here, capsys):
    plan = resolve(read_study({**OVERRIDES, "training": TRAINING, "probe": "knn"}))
    job = next(job for job in plan.probe.values() if job.at is not None and job.at.task == 0)
    Path("broken.pt").write_bytes(b"not a checkpoint")
    out = Path("copy", job.file)
    files = ["--plan", PLAN, "--index", INDEX, "--split", SPLIT, "--out", str(out)]
    for attempt in ("1", "2", "3"):
        assert main(["probe", *files, "--checkpoint", "broken.pt", "--attempt", attempt]) == 1
        refused = "not tried again, as it would fail again: " if attempt > "1" else ""
        assert capsys.readouterr().err.startswith(f"cassle probe: {refused}cannot read checkpoint broken.pt: ")
    assert json.loads(out.with_suffix(".failed").read_text())["final"]
    assert main(["probe", *files, "--checkpoint", str(checkpoint_of(here, 0)), "--attempt", "1"]) == 0
    assert json.loads(out.read_text())["accuracies"].keys() == {"knn"}
    assert not out.with_suffix(".failed").exists()


def test_a_probe_typed_by_hand_leaves_no_word_of_its_failure(here, capsys):
    Path("broken.pt").write_bytes(b"not a checkpoint")
    assert main(["probe", "--checkpoint", "broken.pt", "--out", "typed.json"]) == 1
    assert list(Path().glob("typed*")) in ([], [Path("typed.times.jsonl")])


def test_a_file_of_other_software_is_probed_where_its_network_is_described(here, capsys):
    model = load_tensors(checkpoint_of(here, 1))["model"]
    torch.save({"state_dict": {f"encoder.{k.removeprefix('backbone.')}": v for k, v in model.items()}}, "external.ckpt")
    options = ["--checkpoint", "external.ckpt", "--stream", "digits-domain2", "--probes", "knn"]
    options += ["--out", "external.json"]
    assert main(["probe", *options]) == 1
    assert "--backbone" in capsys.readouterr().err
    assert main(["probe", *options, "--backbone", "conv3-narrow"]) == 0
    assert "left out" in capsys.readouterr().out
    own = ["--checkpoint", str(checkpoint_of(here, 1)), "--probes", "knn", "--out", "own.json"]
    assert main(["probe", *own]) == 0
    external, native = (json.loads(Path(f"{name}.json").read_text()) for name in ("external", "own"))
    assert external["accuracies"] == native["accuracies"]


def test_a_stream_is_found_by_the_checkpoint_itself(here, capsys):
    assert main(["probe", "--checkpoint", str(checkpoint_of(here, 0)), "--probes", "knn", "--out", "own.json"]) == 0
    assert json.loads(Path("own.json").read_text())["spec"]["stream"] == Stream.parse("digits-domain2").model_dump(
        mode="json"
    )
