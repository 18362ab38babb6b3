"""What the DALI loader does before DALI; DALI itself is tried in tests/long."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

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


def test_the_training_waits_on_the_gpu_for_a_copy_that_the_host_does_not_wait_for(monkeypatch):
    happened = []
    copies = SimpleNamespace(name="copies")
    training = SimpleNamespace(wait_stream=lambda stream: happened.append(f"training waits for {stream.name}"))
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: training)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: happened.append("memory is kept"))

    def feed_ndarray(source, copy, cuda_stream):
        happened.append(f"copied on {cuda_stream.name}")
        copy.fill_(7)

    loader = SimpleNamespace(copies=copies, device=torch.device("cpu"), dali=SimpleNamespace(feed_ndarray=feed_ndarray))
    output = SimpleNamespace(as_tensor=lambda: SimpleNamespace(shape=lambda: [2, 4, 4, 3]))
    assert torch.equal(DaliLoader.tensor(loader, output), torch.full((2, 3, 4, 4), 7, dtype=torch.uint8))
    assert happened == ["copied on copies", "training waits for copies", "memory is kept"]
