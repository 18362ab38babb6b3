"""Pickles of datasets are read as data; nothing in them is run."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from cassle.core.errors import DataError
from cassle.data.datasets.cifar import read_pickle

# b"data" -> arange(3) as uint8, b"labels" -> [7], as Python 2 wrote it: texts are bytes, numpy has its old place.
PYTHON_2 = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x03\x85"
    b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03\x00\x01\x02"
    b"tbU\x06labels]K\x07au."
)


def test_what_python_2_wrote_is_read(tmp_path):
    (tmp_path / "batch").write_bytes(PYTHON_2)
    read = read_pickle(tmp_path / "batch")
    assert read["data"].dtype == np.uint8
    assert read["data"].tolist() == [0, 1, 2]
    assert read["labels"] == [7]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_whatever_the_protocol(tmp_path, protocol):
    batch = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [0, 1], "names": ["cat", "dog"]}
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol=protocol))
    read = read_pickle(tmp_path / "batch")
    assert np.array_equal(read.pop("data"), batch.pop("data"))
    assert read == batch


class Touch:
    """Unpickling this makes a file: a pickle that must not be trusted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_refused_and_never_run(tmp_path):
    path, proof = tmp_path / "batch", tmp_path / "proof"
    path.write_bytes(pickle.dumps({"data": Touch(proof)}))
    with pytest.raises(DataError, match=f"{path} is damaged or something else: it holds .*, which is no data; delete"):
        read_pickle(path)
    assert not proof.exists()
    pickle.loads(path.read_bytes())
    assert proof.exists(), "the file was harmless, so this test shows nothing"


@pytest.mark.parametrize("content", [b"", b"no pickle", PYTHON_2[:60], pickle.dumps([1, 2])])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(DataError, match=f"{tmp_path}/batch is damaged or something else: .*unpack the archive again"):
        read_pickle(tmp_path / "batch")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=re.escape(f"cannot read {tmp_path}/batch: No such file")):
        read_pickle(tmp_path / "batch")
