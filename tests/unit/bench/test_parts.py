"""`cassle bench`: every part is measured on made-up images, shown as a table and written as JSON."""

import json

import pytest

from cassle.bench import base
from cassle.cli import main

WORDS = {
    "views": ["batch_size=8", "height=70", "width=80"],
    "loader": ["batch_size=8", "images=16"],
    "files": ["batch_size=8", "images=120", "loaders=[]"],
    "step": ["batch_size=16", "backbone=conv3-narrow", "images=32"],
    "strategies": ["batch_size=8", "backbone=conv3-narrow", "images=32", "strategies=[lump]"],
    "probe": ["backbone=conv3-narrow", "images=8", "train=40", "test=10", "probes=[knn]"],
}
NAMES = {
    "views": {"PIL, as the original", "torchvision on tensors", "batched on cpu"},
    "loader": {"torchvision", "device"},
    "files": {"prepare"},
    "step": {"step", "its views"},
    "strategies": {"finetune", "lump"},
    "probe": {"features", "knn"},
}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(base, "LEAST", 0.0)
    for part in ("loader", "files"):
        monkeypatch.setattr(f"cassle.bench.time_{part}.dali_is_installed", lambda: False)


@pytest.mark.parametrize("part", list(WORDS))
def test_a_part_is_measured_with_machine_versions_and_spread(quick, part, tmp_path, capsys):
    site = json.dumps({"execution": {"device": "cpu"}})
    assert main(["bench", part, "rounds=2", *WORDS[part], "--site", site, "--out", str(tmp_path / "out.json")]) == 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert {row["name"] for row in written["rows"]} == NAMES[part]
    assert all(0 < row["low"] <= row["median"] <= row["high"] for row in written["rows"])
    assert written["machine"]["device"] == "cpu"
    assert {"torch", "torchvision", "python"} <= set(written["versions"])
    assert written["settings"]["rounds"] == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in NAMES[part])
    assert shown.startswith(f"{part}: cpu, ")
    assert f"torch {written['versions']['torch']}, " in shown


def test_a_step_of_known_size_is_counted(quick, tmp_path):
    site = json.dumps({"execution": {"device": "cpu"}})
    words = ["rounds=2", *WORDS["step"]]
    main(["bench", "step", *words, "--site", site, "--out", str(tmp_path / "one.json")])
    main(["bench", "step", *words, "strategy=finetune", "--site", site, "--out", str(tmp_path / "two.json")])
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one["flops_per_step"] > two["flops_per_step"] > 1e6
    assert one["precision"] == "fp32"


def test_an_unknown_word_names_the_nearest_key(capsys):
    assert main(["bench", "views", "batchsize=3"]) == 1
    assert "did you mean 'batch_size'?" in capsys.readouterr().err


def test_cases_take_turns_and_warm_up_first(quick):
    calls = []
    cases = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    times = base.seconds_per_call(cases, base.torch.device("cpu"), 3)
    assert calls == ["a", "a", "b", "b", "a", "b", "a", "b", "a", "b"]
    assert {name: len(each) for name, each in times.items()} == {"a": 3, "b": 3}


def test_rates_are_medians_with_their_range():
    row = base.rate("x", [0.1, 0.2, 0.4], 10, "crops", share=0.5)
    assert row == {"name": "x", "median": 50, "low": 25, "high": pytest.approx(100), "unit": "crops/s", "share": 0.5}
