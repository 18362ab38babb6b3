"""What the DALI loader does before DALI; DALI itself is tried in tests/long."""

from types import SimpleNamespace

import pytest

from cassle.data.loaders.dali import DaliLoader
from tests.unit.data.loaders.conftest import picture
from tests.unit.data.test_decode import NO_HEADER, WORD_FOR_A_NUMBER


@pytest.mark.parametrize("exif", [NO_HEADER, WORD_FOR_A_NUMBER])
def test_broken_exif_data_leave_a_file_to_dali_as_it_is(tmp_path, exif):
    path = tmp_path / "image.png"
    picture(0).save(path, exif=exif)
    loader = SimpleNamespace(files=SimpleNamespace(path=lambda position: path))
    content, size = DaliLoader.content(loader, 0)
    assert content.tobytes() == path.read_bytes()
    assert size == picture(0).size[::-1]
