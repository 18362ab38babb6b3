"""Every file is looked at once; in one process or several the same is found."""

import hashlib
import re

import numpy as np
import pytest

from cassle.core.errors import DataError
from cassle.data import check
from cassle.data.check import digest_of, look_at, verify
from cassle.data.index import Part
from tests.unit.data.images import write


def test_the_look_says_content_size_kind_and_what_is_wrong(tmp_path):
    write(tmp_path / "a.png", (7, 3))
    write(tmp_path / "b.png", mode="L")
    (tmp_path / "c.png").touch()
    look = look_at(tmp_path, ["a.png", "b.png", "c.png", "d.png"], cores=1)
    assert look.sizes.tolist() == [[3, 7], [4, 5], [0, 0], [0, 0]]
    for place, name in enumerate(("a.png", "b.png")):
        content = hashlib.blake2b((tmp_path / name).read_bytes(), digest_size=8).digest()
        assert int(look.digests[place]) == int.from_bytes(content, "little")
    assert look.kinds == {"gray": 1}
    assert look.problems == {
        2: f"{tmp_path}/c.png is empty (0 bytes)",
        3: f"{tmp_path}/d.png does not exist",
    }


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CHUNK", 2)
    paths = [f"{place}.png" for place in range(9)]
    for place, path in enumerate(paths):
        write(tmp_path / path, (3 + place, 4), mode="L" if place % 2 else "RGB")
    (tmp_path / "4.png").write_bytes(b"no image")
    one, several = look_at(tmp_path, paths, 1), look_at(tmp_path, paths, 2)
    assert np.array_equal(one.digests, several.digests)
    assert np.array_equal(one.sizes, several.sizes)
    assert (one.problems, one.kinds) == (several.problems, several.kinds)
    assert list(one.problems) == [4]


def test_a_long_check_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, "REPORT_EVERY", -1.0)
    write(tmp_path / "a.png")
    look_at(tmp_path, ["a.png"], 1)
    assert "checked 1 of 1 images in 0 s" in capsys.readouterr().out


def test_a_killed_process_is_told_as_what_it_is(tmp_path, monkeypatch):
    class Killed:
        def __init__(self, *arguments):
            raise check.BrokenProcessPool

    monkeypatch.setattr(check, "CHUNK", 1)
    monkeypatch.setattr(check, "ProcessPoolExecutor", Killed)
    with pytest.raises(DataError, match="killed, perhaps for want of memory; run it again with fewer cores"):
        look_at(tmp_path, ["a", "b", "c"], 2)


def half(folder, paths):
    digests = np.array([digest_of((folder / path).read_bytes()) for path in paths], dtype=np.uint64)
    zeros = np.zeros(len(paths), dtype=np.int64)
    return Part(zeros, zeros, None, tuple(paths), digests)


def test_files_that_are_no_longer_the_prepared_ones_are_noticed(tmp_path):
    paths = [write(tmp_path / f"{place}.png").name for place in range(5)]
    part = half(tmp_path, paths)
    verify(tmp_path, part, "birds")
    write(tmp_path / "3.png", (9, 9))
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}/3.png is not what it was when birds was prepared")):
        verify(tmp_path, part, "birds")
    with pytest.raises(DataError, match="does not exist"):
        verify(tmp_path / "elsewhere", part, "birds")


def test_an_index_that_holds_its_pixels_needs_no_files(tmp_path):
    zeros = np.zeros(0, dtype=np.int64)
    verify(tmp_path / "nowhere", Part(zeros, zeros, np.zeros((0, 3, 1, 1), dtype=np.uint8)), "digits")
    verify(tmp_path / "nowhere", Part(zeros, zeros, None, (), np.zeros(0, dtype=np.uint64)), "cifar10")
