"""DALI on a CPU: a folder of images trained from end to end. Needs `make dali`, and fails without it."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from cassle.data.base import Part
from cassle.data.crop import crop_resize_each
from cassle.data.file_images import FileImages
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.loaders.dali import DaliLoader, dali_is_installed
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views, draw, normalize
from tests.unit.data.loaders.test_base import ALL, CPU, assert_same, taken

COUNT, SIZE, BATCH = 46, 32, 8
RECIPE = """
specks:
  source: a test
  epochs: 3
  batch_size: 8
  optimizer: {name: adamw, lr: 1.0e-3, weight_decay: 0.0, lr_per: null}
  schedule: {name: constant}
  classifier_lr: 1.0e-2
  objective: {hidden_dim: 16, output_dim: 8}
  views: [{size: 32, blur: 0.5}, {size: 32, solarize: 0.2}, {size: 16}]
"""
STUDY = """
name: specks
streams: [specks-class2]
objectives: [simclr]
strategies: [finetune, cassle]
backbones: [conv3-narrow]
probes: [knn, online]
figures: [bars]
recipes: recipes
data: {specks: {kind: folder, image_size: 32}}
data_root: data
execution: {device: cpu, loader: dali, threads: 2, state_minutes: 0}
"""
PLAIN = Views([ViewSettings(size=SIZE, scale=(0.3, 1.0), jitter=0, gray=0, flip=0)], (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(autouse=True, scope="module")
def dali_is_there():
    if not dali_is_installed():
        pytest.fail("NVIDIA DALI is not installed: run `make dali` first", pytrace=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of many sizes and kinds: JPEG, turned by EXIF, gray, CMYK, palette and with alpha."""
    top = tmp_path_factory.mktemp("dali") / "data" / "specks"
    rng = np.random.default_rng(0)
    for place in range(COUNT):
        height, width = (int(side) for side in rng.integers(40, 90, size=2))
        coarse = Image.fromarray(rng.integers(256, size=(6, 6, 3), dtype=np.uint8))
        image = coarse.resize((width, height), Image.Resampling.BICUBIC)
        file = top / f"class {place % 4}" / f"bär {place}"
        file.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6 if place % 7 == 1 else 1
        if place % 5 == 0:
            image.convert(("RGB", "P", "RGBA", "L")[place // 5 % 4]).save(file.with_suffix(".png"))
        else:
            mode = ("RGB", "L", "CMYK")[place % 3] if place % 7 == 3 else "RGB"
            image.convert(mode).save(file.with_suffix(".jpg"), quality=95, exif=exif)
    return top


@pytest.fixture(scope="module")
def images(folder):
    names = tuple(sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*")))
    labels = np.arange(COUNT) % 4
    return FileImages(folder, Part(labels, 0 * labels, None, names), SIZE)


def opened(images, views, threads=1, **changes):
    own = torch.arange(3, COUNT)
    rows = TaskRows(own, torch.arange(COUNT), **{"batch_size": BATCH, "seed": 0, "task": 1, **changes})
    return open_loader("dali", images, rows, views, CPU, threads)


DRAWN = Views([ViewSettings(size=SIZE, **ALL), ViewSettings(size=16, **ALL)], (0.5,) * 3, (0.25,) * 3)


def test_an_epoch_has_its_number_of_steps_no_image_twice_and_less_than_a_batch_left_out(images):
    loader = opened(images, DRAWN)
    assert loader.steps_per_epoch == (COUNT - 3) // BATCH
    for epoch in range(3):
        seen = [batch.index for batch in loader.epoch(epoch)]
        flat = torch.cat(seen).tolist()
        assert [len(index) for index in seen] == [BATCH] * loader.steps_per_epoch
        assert len(set(flat)) == len(flat) > COUNT - 3 - BATCH
        assert set(flat) <= set(range(3, COUNT))


@pytest.mark.parametrize("first_step", [1, 3])
def test_batches_after_a_resume_are_the_same_independent_of_earlier_batches(images, first_step):
    loader = opened(images, DRAWN)
    taken(loader, 0)
    whole = taken(loader, 1)
    assert_same(taken(opened(images, DRAWN, threads=2), 1, first_step), whole[first_step:])


def test_own_rows_do_not_depend_on_replayed_ones(images):
    def replay(count, generator):
        return torch.randint(3, (count // 2,), generator=generator)

    alone = [batch.views[0] for batch in opened(images, DRAWN).epoch(0)]
    replayed = list(opened(images, DRAWN, replay=replay).epoch(0))
    assert all(torch.equal(batch.views[0][:BATCH], views) for batch, views in zip(replayed, alone, strict=True))
    assert {len(batch.index) for batch in replayed} == {BATCH + BATCH // 2}


def test_crops_of_every_kind_of_file_are_those_of_the_plain_path(images):
    loader = opened(images, PLAIN)
    assert isinstance(loader, DaliLoader)
    for step, batch in enumerate(loader.epoch(0)):
        decoded = [images.image(place) for place in batch.index.tolist()]
        sizes = torch.tensor([image.shape[1:] for image in decoded])
        made = loader.rows.generator("own views", 0, step)
        drawn = draw(PLAIN.settings[0], BATCH, sizes[:, 0], sizes[:, 1], made)
        expected = crop_resize_each(decoded, drawn.boxes, SIZE, drawn.flip).float() / 255
        off = (batch.views[0] - normalize(expected, PLAIN.mean, PLAIN.std)).abs().mean(dim=(1, 2, 3)) * 0.25 * 255
        assert off.max() < 2, [str(images.path(int(place))) for place in batch.index[off >= 2]]
        online = loader.online_batch(0, step)[0].float()
        clean = images.read(loader.rows.online(0, step)).float()
        assert (online - clean).abs().mean() < 2


def test_a_folder_stream_is_trained_from_end_to_end(folder, monkeypatch):
    project = folder.parents[1]
    monkeypatch.chdir(project)
    (project / "recipes").mkdir()
    (project / "recipes" / "simclr.yaml").write_text(RECIPE)
    (project / "study.yaml").write_text(STUDY)
    snakefile = os.path.join(os.path.dirname(__file__), "..", "..", "workflow", "Snakefile")
    command = [shutil.which("snakemake", path=os.path.dirname(sys.executable)), "--cores", "2", "-s", snakefile]
    done = subprocess.run([*command, "--configfile", "study.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = np.load(next(project.glob("results/specks-class2*/split.npz")))["train_task"]
    files = list(project.glob("results/**/train.json"))
    assert len(files) == 3
    for file in files:
        record = json.loads(file.read_text())
        steps = int((tasks == record["spec"]["task"]).sum()) // 8
        assert record["loader"] == "dali"
        assert record["states"] == 3 * steps, "a state is saved after every step"
        lines = (file.parent / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]
