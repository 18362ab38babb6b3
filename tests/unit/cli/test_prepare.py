"""Datasets are prepared and split by hand, or it is captured why they cannot be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cassle.cli import main
from cassle.data.base import read_index
from tests.unit.cli.by_hand import SPLIT
from tests.unit.data.images import write_classes


def test_a_split_is_described_in_a_table(here):
    assert "| 0 | edges | 1438 | 359 |" in Path(SPLIT).with_suffix(".md").read_text()


def test_a_dataset_is_prepared_with_the_settings_given_and_described(tmp_path, capsys):
    for name in ("cat", "dog"):
        write_classes(tmp_path / "data/art", [name], 4)
    site = json.dumps({"data_root": str(tmp_path), "data": {"folder": {"root": "data", "test_share": 0.5}}})
    arguments = ["prepare", "--dataset", "folder", "--site", site, "--out", str(tmp_path / "out/index.npz")]
    assert main([*arguments, "--settings", '{"layout": "domains"}', "--cores", "1"]) == 0
    index = read_index(tmp_path / "out/index.npz")
    assert (index.classes, index.domains, len(index.test.labels)) == (("cat", "dog"), ("art",), 4)
    assert "2 classes, 4 training and 4 test images" in (tmp_path / "out/prepare.md").read_text()


def test_a_dataset_that_cannot_be_used_leaves_no_index(tmp_path, capsys):
    write_classes(tmp_path, ["cat"], 4)
    (tmp_path / "cat/bad.png").touch()
    arguments = ["--site", json.dumps({"data_root": str(tmp_path)}), "--out", str(tmp_path / "out/index.npz")]
    assert main(["prepare", "--dataset", "folder", *arguments]) == 1
    captured = capsys.readouterr().err
    assert captured.startswith("cassle prepare: folder has 1 images that cannot be used:")
    assert "Traceback" not in captured
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "captured"),
    [
        (["prepare", "--dataset", "digits", "--site", "{data_root: /data}"], "--site is not JSON: "),
        (["prepare", "--dataset", "digits", "--settings", "[1]"], "--settings must be a JSON object, such as"),
        (["split", "--index", "index.npz"], "give --stream NAME, such as digits-domain6, or --plan"),
        (["prepare"], "give --dataset NAME, such as cifar100, or --plan"),
    ],
)
def test_arguments_that_are_no_settings_are_told(tmp_path, capsys, arguments, captured):
    assert main([*arguments, "--out", str(tmp_path / "out.npz")]) == 1
    assert capsys.readouterr().err.startswith(f"cassle {arguments[0]}: {captured}")


def test_files_are_prepared_without_torch(tmp_path):
    write_classes(tmp_path, ["cat"], 4)
    site = json.dumps({"data_root": str(tmp_path)})
    arguments = ["prepare", "--dataset", "folder", "--site", site, "--out", str(tmp_path / "out/index.npz")]
    code = f"import sys; from cassle.cli import main; sys.exit(main({arguments!r}) or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
