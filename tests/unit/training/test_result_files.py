"""Outputs of a training: found again under second names if undamaged, forgotten when they are another job's."""

import subprocess
import sys

import pytest
import torch

from cassle.contracts.records import write_record
from cassle.core.errors import CassleError
from cassle.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from cassle.training.result_files import finished, forget, keep, remove_leftovers, require_room
from tests.unit.specs import changed, provenance, train_record, train_specs

MADE = provenance(train_specs(stream="digits-domain2", objective="simclr", strategy="finetune")[0])
NAMES = ("checkpoint.pt", "train.json")


@pytest.fixture
def folder(tmp_path):
    """Finished outputs of the training of `MADE`, with their second names."""
    checkpoint = Checkpoint({"weight": torch.arange(5.0)}, {}, MADE)
    save_checkpoint(tmp_path / "checkpoint.pt", checkpoint)
    write_record(tmp_path / "train.json", train_record(MADE, checkpoint=checkpoint.fingerprint))
    keep(tmp_path)
    return tmp_path


def visible(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def hidden(folder):
    return {path.name for path in folder.iterdir() if path.name.startswith(".")}


@pytest.mark.parametrize("deleted", [(), NAMES[:1], NAMES[1:], NAMES])
def test_deleted_outputs_come_back(folder, deleted):
    for name in deleted:
        (folder / name).unlink()
    assert finished(folder, MADE.key)
    assert visible(folder) == set(NAMES)
    assert torch.equal(load_checkpoint(folder / "checkpoint.pt").model["weight"], torch.arange(5.0))


@pytest.mark.parametrize("deleted", [(), NAMES])
def test_outputs_of_another_job_are_not_taken_and_their_second_names_go(folder, deleted):
    for name in deleted:
        (folder / name).unlink()
    assert not finished(folder, changed(MADE, code="other").key)
    assert hidden(folder) == set()
    assert visible(folder) == set(NAMES) - set(deleted)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_outputs_are_not_taken(folder, name):
    file = folder / name
    file.write_bytes(file.read_bytes()[:-10])
    assert not finished(folder, MADE.key)
    assert hidden(folder) == set()


def test_an_undamaged_second_name_replaces_a_damaged_first_one(folder):
    (folder / "checkpoint.pt").unlink()
    (folder / "checkpoint.pt").write_bytes(b"damaged")
    assert finished(folder, MADE.key)
    assert torch.equal(load_checkpoint(folder / "checkpoint.pt").model["weight"], torch.arange(5.0))


def test_a_checkpoint_of_another_record_is_not_taken(folder):
    (folder / "checkpoint.pt").unlink()
    save_checkpoint(folder / "checkpoint.pt", Checkpoint({"weight": torch.zeros(5)}, {}, MADE))
    (folder / ".finished.checkpoint.pt").unlink()
    assert not finished(folder, MADE.key)


def test_an_empty_folder_is_not_finished(tmp_path):
    assert not finished(tmp_path, MADE.key)


def test_forgotten_second_names_free_the_space_of_deleted_outputs(folder):
    forget([folder, folder / "nowhere"])
    assert hidden(folder) == set()
    assert visible(folder) == set(NAMES)


def test_forgetting_needs_no_torch():
    load = "import sys; from cassle.training.result_files import forget"
    code = f"{load}; forget(['nowhere']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_killed_processes_left_half_written_is_removed(folder):
    (folder / ".state.pt.12.0123abcd@some-machine.partial").write_bytes(b"half")
    remove_leftovers(folder)
    assert hidden(folder) == {f".finished.{name}" for name in NAMES}


def test_a_disk_too_small_for_a_checkpoint_is_told_beforehand(tmp_path):
    require_room(tmp_path, 1000)
    with pytest.raises(CassleError, match=r"checkpoint\.pt: the disk has .* MB left and it takes 10+\.0 MB; make"):
        require_room(tmp_path, 10**18)
