"""All verbs: messages of errors, exit codes, and files after an error."""

import subprocess
import sys
from pathlib import Path

import pytest

from cassle.cli import main
from tests.unit.cli.by_hand import INDEX, SPLIT, TYPED

STUDY = "results/studies/mine/study.json"
WHAT = ["--runs", "results/runs.csv", "--study", STUDY, "--stream", "digits-domain2", "--probe", "knn"]
TABLES = "results/studies/mine/tables/digits-domain2/knn"


def test_the_package_is_the_command_and_its_help_imports_nothing_heavy():
    command = [sys.executable, "-X", "importtime", "-m", "cassle.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: cassle ")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "cassle.cli.parser" in imported
    assert not {"torch", "numpy", "pydantic", "yaml"} & imported


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "objective"], "'objective' is not of the form key=value"),
        (["train"], "give --plan and --folder, or overrides: stream=..."),
        (["train", *TYPED, "task=7"], "these overrides name no task 7, but tasks 0 to 1"),
        (["build_memory", *TYPED, "task=0"], "these overrides name 0 memories after task 0"),
        (["build_memory"], "give --plan and --out, or overrides: stream=..."),
        (["train", *TYPED[:-2], "strategy=cassel"], "there is no strategy 'cassel': did you mean 'cassle'"),
        (["train", "--site", '{"execution": {"device": "cpx"}}', *TYPED], "'execution.device' = 'cpx'"),
        (["train", "--plan", "none.json", "--folder", "x"], "there is no none.json; run the workflow"),
        (["probe", "--out", "x.json"], "give --checkpoint FILE"),
        (["probe", "--checkpoint", "none.pt", "--out", "x.json"], "there is no checkpoint none.pt"),
        (["split", "--stream", "digits-class5", "--index", "none.npz", "--out", "x"], "there is no index none.npz"),
        (["prepare", "--dataset", "digit", "--out", "x.npz"], "there is no dataset 'digit': did you mean 'digits'"),
        (["show", "results/studies/none"], "there are no tables under results/studies/none"),
        (["status", "results/studies/none"], "nothing is known of results/studies/none"),
        (
            ["table", "--runs", "x", "--study", "y", "--stream", "s", "--probe", "p", "--out", "o"],
            "there is no y; check",
        ),
    ],
)
def test_a_verb_that_cannot_says_why_and_exits_with_1(here, capsys, arguments, message):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"cassle {arguments[0]}: ")
    assert message in captured.err


CLOSED = """
import os, subprocess, sys
def close():
    for number in map(int, sys.argv[1]):
        os.close(number)
done = subprocess.run([sys.executable, "-m", "cassle.cli", *sys.argv[3:]], preexec_fn=close)
with open(sys.argv[2], "w") as file:
    file.write(str(done.returncode))
"""


@pytest.mark.parametrize("closed", ["2", "1", "012"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["prepare", "--dataset", "digits", "--out", "made.npz"], "0"),
        (["prepare", "--dataset", "digit", "--out", "made.npz"], "1"),
        (["prepare", "--dataste", "digits"], "2"),
    ],
    ids=["works", "refuses", "mistyped"],
)
def test_a_verb_works_with_standard_streams_closed(tmp_path, monkeypatch, closed, words, code):
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", CLOSED, closed, "code", *words], check=True, capture_output=True)
    assert Path("code").read_text() == code
    assert Path("made.npz").exists() == (code == "0")


def test_an_error_does_not_go_to_standard_output_where_standard_error_is_closed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["prepare", "--dataset", "digit", "--out", "made.npz"]
    code = [sys.executable, "-c", CLOSED, "2", "code", *words]
    assert subprocess.run(code, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["prepare", "--dataset", "digits"], {"index.npz": INDEX}),
        (["split", "--stream", "digits-domain2", "--index", INDEX], {"split.npz": SPLIT}),
        (["collect", "--results", "results"], {"runs.csv": None}),
        (["table", *WHAT], {f"knn.{suffix}": f"{TABLES}.{suffix}" for suffix in ("md", "csv", "tex", "html")}),
        (["figure", *WHAT, "--name", "accuracy_matrix"], {"matrix.pdf": None}),
    ],
)
def test_a_full_disk_is_reported_and_the_same_arguments_succeed_once_there_is_room(here, disk, capsys, arguments, made):
    out = disk.folder / next(iter(made))
    disk.fill(leaving=100)
    assert main([*arguments, "--out", str(out)]) == 1
    disk.free()
    captured = capsys.readouterr().err
    assert captured.startswith(f"cassle {arguments[0]}: cannot write {disk.folder}/")
    assert "make room or fix the permissions, then run the same command again" in captured
    assert list(disk.folder.iterdir()) == []
    assert main([*arguments, "--out", str(out)]) == 0
    for name, usual in made.items():
        assert usual is None or (disk.folder / name).read_bytes() == Path(usual).read_bytes()
        assert (disk.folder / name).stat().st_size > 0


SAY = """
import sys
import cassle.cli.parser as parser
from cassle.cli import main

def status(args):
    sys.stdin.read()
    for line in range({lines}):
        print(line)

parser.status = status
sys.exit(main(["status"]))
"""


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_early_is_no_error(lines):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", SAY.format(lines=lines)], **pipes) as verb:
        verb.stdout.close()
        verb.stdin.close()
        assert verb.stderr.read() == b""
    assert verb.returncode == 141


def test_another_broken_pipe_is_an_error(monkeypatch):
    def status(args):
        raise BrokenPipeError

    monkeypatch.setattr("cassle.cli.parser.status", status)
    with pytest.raises(BrokenPipeError):
        main(["status"])
