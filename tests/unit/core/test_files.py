"""Files that are there completely or not at all, and loads that execute nothing."""

import errno
import json
import os
import pickle
import resource
import secrets
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import CassleError, CheckpointError
from cassle.core.files import (
    canonical_json,
    fingerprint,
    fingerprint_tensors,
    link,
    load_tensors,
    read_json,
    save_tensors,
    write_json,
    write_text,
    write_with,
    written_aside,
)

untimed = settings(deadline=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@contextmanager
def room_for(count):
    """Let the operating system refuse files longer than ``count`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_its_writing_has_ended(tmp_path):
    path = tmp_path / "deep" / "folder" / "file.txt"
    with written_aside(path) as aside:
        aside.write_text("new")
        assert aside.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "new"
    assert listed(path.parent) == ["file.txt"]


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write(file):
        file.write(b"half of the")
        raise KeyError("not written")

    with pytest.raises(KeyError, match="not written"):
        write_with(path, write)
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["file.txt"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write(file):
        file.write(b"half of the")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_with(path, write)
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["file.txt"]


def test_values_that_are_no_json_leave_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"loss": 1.5})
    for value in (float("nan"), {1, 2}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, {"loss": value})
    assert read_json(path) == {"loss": 1.5}
    assert listed(tmp_path) == ["file.json"]


def write_long_text(path):
    write_text(path, "x" * 100_000)


def write_long_json(path):
    write_json(path, ["x" * 100_000])


def write_large_tensor(path):
    save_tensors(path, {"weight": torch.zeros(100_000)})


@pytest.mark.parametrize("write", [write_long_text, write_long_json, write_large_tensor])
def test_a_disk_without_room_is_told_by_the_name_of_the_file(tmp_path, write):
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(CassleError) as error, room_for(20_000):
        write(path)
    assert str(error.value).startswith(f"cannot write {path}: ")
    assert "make room or fix the permissions, then run the same command again" in str(error.value)
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["result"]


@pytest.mark.parametrize("write", [write_long_text, write_long_json, write_large_tensor])
def test_a_full_disk_is_named_as_such_and_the_same_write_succeeds_once_there_is_room(disk, write):
    path = disk.folder / "result"
    path.write_text("old")
    disk.fill(leaving=20_000)
    with pytest.raises(CassleError, match=f"cannot write {path}: (No space left on device|File too large); make room"):
        write(path)
    disk.free()
    assert path.read_text() == "old"
    assert listed(disk.folder) == ["result"]
    write(path)
    assert path.stat().st_size > 20_000


def test_a_read_only_disk_is_named_as_such(disk):
    path = disk.folder / "result"
    with (
        disk.read_only(),
        pytest.raises(CassleError, match=f"cannot write {path}: (Read-only file system|Permission denied); make"),
    ):
        write_text(path, "new")
    assert listed(disk.folder) == []


KILLED_WHILE_WRITING = """
import os, sys
from cassle.core.files import written_aside
with written_aside(sys.argv[1]) as aside:
    aside.write_text("half")
    os.kill(os.getpid(), 9)
"""


DEAD = 2**22 + 1
"""A process id above Linux's largest."""


def test_the_next_write_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "a[b]*.json"
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)])
    left = listed(tmp_path)
    assert len(left) == 1
    host = os.uname().nodename
    others = [f".{path.name}.{DEAD}.0123abcd@another-machine.partial", f".{path.name}.1.0123abcd@{host}.partial"]
    for name in others:  # of another machine, and of a living process
        (tmp_path / name).write_text("half")
    write_text(path, "new")
    assert listed(tmp_path) == sorted([*others, path.name])


def test_what_a_killed_process_left_has_a_name_that_a_trainer_of_any_machine_finds(tmp_path):
    path = tmp_path / "state.pt"
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)])
    assert [file.name for file in tmp_path.glob(".state.pt.*.partial")] == listed(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        ".file.txt.{dead}.0123abcd@{host}.other.partial",  # a host whose name begins with this one's
        ".file.txt.{dead}.0123abcd@other.{host}.partial",
        ".file.txt.{host}.{dead}.partial",
        ".file.txt.{host}.abc.partial",
        ".file.txt.abc.0123abcd@{host}.partial",
        ".file.txt.more.{dead}.0123abcd@{host}.partial",  # of the file `file.txt.more`
        ".file.txt..0123abcd@{host}.partial",
        ".fileatxt.{dead}.0123abcd@{host}.partial",
    ],
)
def test_names_that_this_machine_does_not_give_are_no_leftovers_and_hinder_no_write(tmp_path, name):
    other = tmp_path / name.format(dead=DEAD, host=os.uname().nodename)
    other.write_text("half")
    write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "new"
    assert other.read_text() == "half"


def test_a_leftover_that_cannot_be_removed_hinders_no_write(tmp_path):
    leftover = tmp_path / f".file.txt.{DEAD}.0123abcd@{os.uname().nodename}.partial"
    leftover.mkdir()
    write_text(tmp_path / "file.txt", "new")
    assert listed(tmp_path) == sorted([leftover.name, "file.txt"])


def test_a_process_id_too_long_for_any_process_is_a_dead_one(tmp_path):
    leftover = tmp_path / f".file.txt.{10**30}.0123abcd@{os.uname().nodename}.partial"
    leftover.touch()
    write_text(tmp_path / "file.txt", "new")
    assert listed(tmp_path) == ["file.txt"]


def test_temporary_names_cannot_be_foreseen(tmp_path):
    seen = set()
    for _ in range(20):
        with written_aside(tmp_path / "file.txt") as aside:
            seen.add(aside.name)
    assert len(seen) == 20


def test_a_link_planted_under_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)
    with written_aside(tmp_path / "file.txt") as aside:
        name = aside.name
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / name).symlink_to(victim)
    with pytest.raises(CassleError, match=f"cannot write {tmp_path / 'file.txt'}: File exists"):
        write_text(tmp_path / "file.txt", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / name).is_symlink(), "it belongs to another process"


def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    synced = []

    def sync(descriptor):
        synced.append((os.path.realpath(f"/proc/self/fd/{descriptor}"), (tmp_path / "file.txt").exists()))

    monkeypatch.setattr(os, "fsync", sync)
    write_text(tmp_path / "file.txt", "new")
    (_, before), (folder, after) = synced
    assert (before, folder, after) == (False, str(tmp_path), True)


def test_a_folder_that_cannot_be_synced_ends_no_write(tmp_path, monkeypatch):
    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", sync)
    write_text(tmp_path / "file.txt", "new")
    assert listed(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_written_file_has_the_permissions_that_the_user_asks_for(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file.txt", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o666 & ~mask


def test_a_second_name_outlives_the_first_and_costs_no_space(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_text(first, "content")
    for _ in range(2):
        link(first, second)
    assert first.stat().st_ino == second.stat().st_ino
    first.unlink()
    assert second.read_text() == "content"
    assert listed(tmp_path) == ["second"]


def test_a_second_name_is_a_copy_where_links_are_refused(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_text(tmp_path / "first", "content")
    link(tmp_path / "first", tmp_path / "second")
    assert (tmp_path / "second").read_text() == "content"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fills_up_at_the_very_end_is_told_by_the_name_of_the_file(tmp_path, monkeypatch, call):
    path = tmp_path / "result"
    path.write_text("old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(CassleError, match=f"cannot write {path}: No space left on device; make room"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["result"]


def test_a_folder_that_cannot_be_made_is_told_by_the_name_of_the_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "result"
    with pytest.raises(CassleError, match=f"cannot write {path}: "):
        write_text(path, "new")


def test_a_name_the_disk_does_not_take_is_told(tmp_path):
    path = tmp_path / ("n" * 300)
    with pytest.raises(CassleError, match="cannot write"):
        write_text(path, "new")
    assert listed(tmp_path) == []


def test_a_path_that_is_a_folder_is_told_and_stays(tmp_path):
    (tmp_path / "result").mkdir()
    with pytest.raises(CassleError, match=f"cannot write {tmp_path / 'result'}: "):
        write_text(tmp_path / "result", "new")
    assert listed(tmp_path) == ["result"]


@settings(untimed, max_examples=30)
@given(json_values)
def test_json_is_read_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_that_is_missing_is_named_and_nobody_is_told_to_delete_it(tmp_path):
    with pytest.raises(CassleError, match=f"there is no {tmp_path}/value.json; check the path, or run") as error:
        read_json(tmp_path / "value.json")
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_json_that_is_broken_is_named_with_what_to_do(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(CassleError, match=f"cannot read {path}: .*delete it and run the workflow again"):
        read_json(path)


def test_tensors_are_loaded_as_they_were_saved(tmp_path):
    saved = {
        "model": {"weight": torch.randn(3, 4), "half": torch.ones(2, dtype=torch.bfloat16)},
        "epoch": 3,
        "name": "größe",
        "rate": 0.1,
        "history": [1, (2, None, True)],
        "empty": torch.zeros(0, 5),
    }
    save_tensors(tmp_path / "deep" / "checkpoint.pt", saved)
    loaded = load_tensors(tmp_path / "deep" / "checkpoint.pt")
    assert loaded.keys() == saved.keys()
    for key in ("weight", "half"):
        assert loaded["model"][key].dtype == saved["model"][key].dtype
        assert torch.equal(loaded["model"][key], saved["model"][key])
    assert loaded["empty"].shape == (0, 5)
    assert all(loaded[key] == saved[key] for key in ("epoch", "name", "rate", "history"))
    assert load_tensors(tmp_path / "deep" / "checkpoint.pt", "meta")["model"]["weight"].device.type == "meta"


def test_a_missing_checkpoint_is_named_with_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match=f"there is no checkpoint {tmp_path / 'no.pt'}; check the path, or run"):
        load_tensors(tmp_path / "no.pt")


def refused(path):
    with pytest.raises(CheckpointError) as error:
        load_tensors(path)
    message = str(error.value)
    assert message.startswith(f"cannot read checkpoint {path}: ")
    assert "\n" not in message
    assert "will likely succeed" not in message, "torch's advice to run what a file contains is handed on"
    return message.endswith("delete it and run the workflow again")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 but no archive", b"\x80\x02.", os.urandom(1000)])
def test_garbage_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    assert refused(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_checkpoint_cut_short_is_refused(tmp_path, share):
    path = tmp_path / "checkpoint.pt"
    save_tensors(path, {"weight": torch.randn(1000)})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path)


class Touch:
    """Unpickling this makes a file: a pickle that must not be trusted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def pickled(path, value):
    path.write_bytes(pickle.dumps(value, protocol=2))


def saved_by_torch(path, value):
    torch.save({"weight": torch.zeros(2), "surprise": value}, path)


def saved_by_old_torch(path, value):
    torch.save({"weight": torch.zeros(2), "surprise": value}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [pickled, saved_by_torch, saved_by_old_torch])
def test_code_in_a_checkpoint_is_never_executed(tmp_path, save):
    path, proof = tmp_path / "checkpoint.pt", tmp_path / "executed"
    save(path, Touch(proof))
    assert refused(path)
    assert not proof.exists()
    pickle.loads(path.read_bytes()) if save is pickled else torch.load(path, weights_only=False)
    assert proof.exists(), "the file was harmless, so this test shows nothing"


@untimed
@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(backwards)
    assert fingerprint(value) == fingerprint(backwards)
    assert json.loads(canonical_json(value)) == value


def test_canonical_json_has_no_spaces_and_refuses_what_is_no_number():
    assert canonical_json({"b": [1, 2.5], "a": "ü"}) == '{"a":"ü","b":[1,2.5]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("inf"))


def test_a_fingerprint_is_sixteen_digits_and_tells_values_apart():
    values = [{}, [], None, 0, "0", {"a": 1}, {"a": 2}, {"b": 1}, [1, 2], [2, 1]]
    found = {fingerprint(value) for value in values}
    assert len(found) == len(values)
    assert all(len(digits) == 16 and int(digits, 16) >= 0 for digits in found)


def test_tensors_are_fingerprinted_by_content_and_not_by_how_they_lie_in_memory():
    weight, scale = torch.randn(3, 4), torch.tensor(2.0)
    found = fingerprint_tensors({"weight": weight, "scale": scale})
    assert len(found) == 16
    assert fingerprint_tensors({"scale": scale.clone(), "weight": weight.t().contiguous().t()}) == found
    assert fingerprint_tensors({"scale": scale, "weight": weight.requires_grad_()}) == found


@pytest.mark.parametrize(
    "other",
    [
        {"other": torch.zeros(2, 3)},
        {"weight": torch.zeros(3, 2)},
        {"weight": torch.zeros(2, 3, dtype=torch.int32)},
        {"weight": torch.tensor([[0.0, 0, 0], [0, 0, 1e-45]])},
        {"weight": -torch.zeros(2, 3)},
        {"weight": torch.zeros(2, 3), "more": torch.zeros(0)},
        {},
    ],
)
def test_tensors_of_another_key_shape_type_or_bit_have_another_fingerprint(other):
    assert fingerprint_tensors(other) != fingerprint_tensors({"weight": torch.zeros(2, 3)})


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_every_type_have_a_fingerprint(dtype):
    assert fingerprint_tensors({"x": torch.ones(3, dtype=dtype)}) != fingerprint_tensors(
        {"x": torch.zeros(3, dtype=dtype)}
    )
