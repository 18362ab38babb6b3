"""Every step by hand: the verbs, in the order in which the workflow calls them, and what they say when they cannot."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

from cassle.cli import main
from cassle.data.base import read_index
from cassle.data.streams import Stream
from cassle.errors import SettingsError
from cassle.files import load_tensors
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.runs import resolve
from cassle.settings import read_study
from cassle.training.checkpoints import Checkpoint, save_checkpoint
from cassle.training.learner import Learner
from cassle.training.model import Model
from tests.unit.data.images import write_classes

WORDS = {"stream": "digits-domain2", "backbone": "conv3-narrow", "objective": "simclr", "strategy": "cassle"}
TRAINING = {"epochs": 1, "batch_size": 512}
TYPED = [f"{key}={value}" for key, value in WORDS.items()] + ["training={epochs: 1, batch_size: 512}"]
INDEX, SPLIT = "results/data/digits/index.npz", "results/digits-domain2/split.npz"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which every step of one run was typed by hand."""
    folder = tmp_path_factory.mktemp("by_hand")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["prepare", "--data_set", "digits", "--out", INDEX]) == 0
        assert main(["split", "--stream", "digits-domain2", "--index", INDEX, "--out", SPLIT]) == 0
        for task in (0, 1):
            assert main(["train", *TYPED, f"task={task}"]) == 0
        plan = resolve(read_study({**WORDS, "training": TRAINING, "probe": "knn"}))
        for file, probe in plan.probe.items():
            words = ["--index", INDEX, "--split", SPLIT, "--out", file, "--spec", probe.key]
            checkpoint = ["--checkpoint", f"{probe.folder}/checkpoint.pt"] if probe.trained else []
            assert main(["probe", *words, *checkpoint]) == 0
        assert main(["collect", "--out", "results/runs.csv"]) == 0
        study = "results/studies/mine/study.json"
        assert main(["study", "--cells", json.dumps(plan.summary()), "--out", study]) == 0
        what = ["--runs", "results/runs.csv", "--study", study, "--stream", "digits-domain2", "--probe", "knn"]
        assert main(["table", *what, "--out", "results/studies/mine/tables/digits-domain2/knn.md"]) == 0
        figure = "results/studies/mine/figures/digits-domain2/knn/bars.pdf"
        assert main(["figure", *what, "--name", "bars", "--out", figure]) == 0
    return folder


@pytest.fixture
def here(project, monkeypatch):
    """The same folder as the current one."""
    monkeypatch.chdir(project)
    return project


def checkpoint_of(folder: Path, task: int) -> Path:
    return next(folder.glob(f"results/digits-domain2/*/simclr*/*/seed0/task{task}/checkpoint.pt"))


def test_a_run_typed_by_hand_ends_in_a_table(here, capsys):
    assert main(["show", "results/studies/mine"]) == 0
    said = capsys.readouterr().out
    assert "random network" in said
    assert "cassle" in said
    assert "figures/digits-domain2/knn/bars.pdf" in said


def test_a_split_is_described_in_a_table(here):
    assert "| 0 | edges | 1438 | 359 |" in Path(SPLIT).with_suffix(".md").read_text()


def test_a_data_set_is_prepared_with_the_settings_given_and_described(tmp_path, capsys):
    for name in ("cat", "dog"):
        write_classes(tmp_path / "data/art", [name], 4)
    site = json.dumps({"data_root": str(tmp_path), "data": {"folder": {"root": "data", "test_share": 0.5}}})
    words = ["prepare", "--data_set", "folder", "--site", site, "--out", str(tmp_path / "out/index.npz")]
    assert main([*words, "--settings", '{"layout": "domains"}', "--cores", "1"]) == 0
    index = read_index(tmp_path / "out/index.npz")
    assert (index.classes, index.domains, len(index.test.labels)) == (("cat", "dog"), ("art",), 4)
    assert "2 classes, 4 training and 4 test images" in (tmp_path / "out/prepare.md").read_text()


def test_a_data_set_that_cannot_be_used_leaves_no_index(tmp_path, capsys):
    write_classes(tmp_path, ["cat"], 4)
    (tmp_path / "cat/bad.png").touch()
    words = ["--site", json.dumps({"data_root": str(tmp_path)}), "--out", str(tmp_path / "out/index.npz")]
    assert main(["prepare", "--data_set", "folder", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("cassle prepare: folder has 1 images that cannot be used:")
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_files_are_prepared_without_torch(tmp_path):
    write_classes(tmp_path, ["cat"], 4)
    site = json.dumps({"data_root": str(tmp_path)})
    words = ["prepare", "--data_set", "folder", "--site", site, "--out", str(tmp_path / "out/index.npz")]
    code = f"import sys; from cassle.cli import main; sys.exit(main({words!r}) or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_any_checkpoint_is_probed_on_any_stream_by_its_name_alone(here, capsys):
    stream = "results/digits-class5/split.npz"
    assert main(["split", "--stream", "digits-class5", "--index", INDEX, "--out", stream]) == 0
    checkpoint = str(checkpoint_of(here, 1))
    asked = ["--checkpoint", checkpoint, "--stream", "digits-class5", "--probes", "knn,online", "--out", "mine.json"]
    assert main(["probe", *asked]) == 0
    said = capsys.readouterr().out
    assert {line.split()[0]: len(line.split()) - 1 for line in said.splitlines()} == {"knn": 5, "online": 5}
    assert json.loads(Path("mine.json").read_text())["stream"] == "digits-class5"


def test_a_file_of_other_software_is_probed_where_its_network_is_described(here, capsys):
    model = load_tensors(checkpoint_of(here, 1))["model"]
    torch.save({"state_dict": {f"encoder.{k.removeprefix('backbone.')}": v for k, v in model.items()}}, "foreign.ckpt")
    asked = ["--checkpoint", "foreign.ckpt", "--stream", "digits-domain2", "--probes", "knn", "--out", "foreign.json"]
    assert main(["probe", *asked]) == 1
    assert "--backbone" in capsys.readouterr().err
    assert main(["probe", *asked, "--backbone", "conv3-narrow"]) == 0
    assert "left out" in capsys.readouterr().out
    own = ["--checkpoint", str(checkpoint_of(here, 1)), "--probes", "knn", "--out", "own.json"]
    assert main(["probe", *own]) == 0
    foreign, native = (json.loads(Path(f"{name}.json").read_text()) for name in ("foreign", "own"))
    assert foreign["accuracies"] == native["accuracies"]


def test_a_given_first_checkpoint_is_taken_over_and_marks_the_runs(here):
    given = checkpoint_of(here, 0)
    words = [*TYPED, f"first_checkpoint={given}"]
    assert main(["train", *words, "task=0"]) == 0
    study = {**WORDS, "training": TRAINING, "first_checkpoint": str(given)}
    first, second = resolve(read_study(study)).train
    assert first not in resolve(read_study({**WORDS, "training": TRAINING})).train
    taken, original = (load_tensors(path)["model"] for path in (f"{first}/checkpoint.pt", given))
    assert all(torch.equal(taken[key], original[key]) for key in original)
    assert main(["train", *words, "task=1"]) == 0
    assert Path(second, "checkpoint.pt").is_file()


def test_what_a_strategy_keeps_is_made_by_hand_and_handed_on(here, capsys):
    words = [*(word for word in TYPED if "strategy" not in word), "strategy=er"]
    assert main(["train", *words, "task=1"]) == 1
    assert "there is no checkpoint" in capsys.readouterr().err
    assert main(["remember", *words, "task=0"]) == 0
    memory = next(here.glob("results/digits-domain2/*/simclr*/er/seed0/task0/memory.pt"))
    assert main(["train", *words, "task=1"]) == 0
    assert json.loads((memory.parents[1] / "task1/train.json").read_text())["memory"] is not None


def test_a_training_by_several_processes_repeats_the_command_in_each(monkeypatch):
    started = []
    monkeypatch.setattr("cassle.launch.launch", lambda arguments, count: started.append((arguments, count)))
    words = ["train", "--site", json.dumps({"execution": {"device": "cpu", "processes": 2}}), *TYPED, "task=0"]
    assert main(words) == 0
    assert started == [(words, 2)]


def test_one_of_several_processes_trains_itself_and_only_the_first_marks_failures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")

    def fail(request):
        raise SettingsError("in vain")

    monkeypatch.setattr("cassle.training.job.train_task", fail)
    site = json.dumps({"execution": {"device": "cpu", "processes": 2}})
    assert main(["train", "--site", site, "--folder", str(tmp_path), *TYPED, "task=0"]) == 1
    assert "in vain" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_exported_backbone_loads_into_torchvision(tmp_path):
    torch.manual_seed(0)
    kind = backbones.get("resnet18")
    backbone = kind(96, kind.Settings())
    objective = objectives.get("simclr")
    model = Model(backbone, objective(objective.Settings(), backbone, 10), 10)
    save_checkpoint(tmp_path / "checkpoint.pt", Checkpoint(model.state_dict(), {}, {}))
    out = tmp_path / "backbone.pt"
    assert main(["export", "--checkpoint", str(tmp_path / "checkpoint.pt"), "--out", str(out)]) == 0
    network = torchvision.models.resnet18()
    missing, unexpected = network.load_state_dict(torch.load(out, weights_only=True), strict=False)
    assert (missing, unexpected) == (["fc.weight", "fc.bias"], [])
    network.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 96, 96)
    assert torch.equal(network.eval()(images), backbone.eval()(images))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "objective"], "'objective' is not of the form key=value"),
        (["train"], "give words"),
        (["train", *TYPED, "task=7"], "these words name 0 trainings of task 7"),
        (["remember", *TYPED, "task=0"], "these words name 0 memories after task 0"),
        (["remember"], "give words"),
        (["train", *TYPED[:-2], "strategy=cassel"], "there is no strategy 'cassel': did you mean 'cassle'"),
        (["train", "--site", '{"execution": {"device": "cpx"}}', *TYPED], "'execution.device' = 'cpx'"),
        (["probe", "--out", "x.json"], "give --checkpoint FILE"),
        (["probe", "--checkpoint", "none.pt", "--out", "x.json"], "there is no checkpoint none.pt"),
        (["split", "--stream", "digits-class5", "--index", "none.npz", "--out", "x"], "there is no index none.npz"),
        (["prepare", "--data_set", "digit", "--out", "x.npz"], "there is no data set 'digit': did you mean 'digits'"),
        (["show", "results/studies/none"], "there are no tables under results/studies/none"),
        (["status", "results/studies/none"], "nothing is known of results/studies/none"),
        (["table", "--runs", "x", "--study", "y", "--stream", "s", "--probe", "p", "--out", "o"], "cannot read y"),
    ],
)
def test_a_verb_that_cannot_says_why_and_exits_with_1(here, capsys, words, message):
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"cassle {words[0]}: ")
    assert message in said.err


STUDY = "results/studies/mine/study.json"
WHAT = ["--runs", "results/runs.csv", "--study", STUDY, "--stream", "digits-domain2", "--probe", "knn"]
TABLES = "results/studies/mine/tables/digits-domain2/knn"


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["prepare", "--data_set", "digits"], {"index.npz": INDEX}),
        (["split", "--stream", "digits-domain2", "--index", INDEX], {"split.npz": SPLIT}),
        (["collect"], {"runs.csv": None}),
        (["table", *WHAT], {f"knn.{suffix}": f"{TABLES}.{suffix}" for suffix in ("md", "csv", "tex", "html")}),
        (["figure", *WHAT, "--name", "accuracy_matrix"], {"matrix.pdf": None}),
    ],
)
def test_a_full_disk_is_told_and_the_same_words_succeed_once_there_is_room(here, disk, capsys, words, made):
    out = disk.folder / next(iter(made))
    disk.fill(leaving=100)
    assert main([*words, "--out", str(out)]) == 1
    disk.free()
    said = capsys.readouterr().err
    assert said.startswith(f"cassle {words[0]}: cannot write {disk.folder}/")
    assert "make room or fix the permissions, then run the same command again" in said
    assert list(disk.folder.iterdir()) == []
    assert main([*words, "--out", str(out)]) == 0
    for name, usual in made.items():
        assert usual is None or (disk.folder / name).read_bytes() == Path(usual).read_bytes()
        assert (disk.folder / name).stat().st_size > 0


def test_a_retry_that_is_not_worth_it_ends_before_anything_is_imported(here):
    folder = here / "results/failed"
    folder.mkdir()
    (folder / "failed.json").write_text(json.dumps({"spec": {}, "message": "the loss is NaN", "final": True}))
    words = ["train", "--spec", "{}", "--index", INDEX, "--split", SPLIT, "--folder", str(folder), "--attempt", "2"]
    code = (
        f"import sys; from cassle.cli import main; code = main({words!r}); "
        "sys.exit(10 * code + bool({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 10
    assert done.stderr == "cassle train: not tried again, as it would fail again: the loss is NaN\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_asked_to_stop_exits_with_the_signal_and_goes_on_next_time(
    here, capsys, monkeypatch, number
):
    words = ["train", *TYPED, f"seed={int(number)}", "task=0"]
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_batch_start", lambda *args: signal.raise_signal(number))
        assert main(words) == 128 + number
    said = capsys.readouterr()
    assert f"received {number.name}: saving the state after this step" in said.out
    assert said.err == "cassle train: stopped at epoch 0, step 1; the same command goes on from there\n"
    assert main(words) == 0
    assert "resuming at epoch 0, step 1" in capsys.readouterr().out


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trian"])
    assert ended.value.code == 2
    assert "trian" in capsys.readouterr().err


def test_a_stream_is_found_by_the_checkpoint_itself(here, capsys):
    assert main(["probe", "--checkpoint", str(checkpoint_of(here, 0)), "--probes", "knn", "--out", "own.json"]) == 0
    assert json.loads(Path("own.json").read_text())["spec"]["stream"] == Stream.parse("digits-domain2").model_dump()
