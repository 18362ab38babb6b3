"""A small model, and steps of it with and without a teacher."""

import copy

import pytest
import torch

from cassle.core.options import Options
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.simclr import SimCLR, SimCLRSettings
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small are slower on several threads."""
    torch.set_num_threads(1)


@pytest.fixture
def model_of():
    """Function from an objective and its settings to a model on a narrow network."""

    def make(kind, settings):
        backbone = Conv3Narrow(8, Options())
        return Model(backbone, kind(settings, backbone, 10), 10)

    return make


@pytest.fixture
def model(model_of):
    return model_of(SimCLR, SimCLRSettings(hidden_dim=8, output_dim=4))


@pytest.fixture
def batch():
    rows = 6
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (rows, 3, 8, 8), generator=draw, dtype=torch.uint8)
    labels = torch.arange(rows) % 3
    return Batch(torch.arange(rows), images, labels, 1, torch.zeros(rows, dtype=torch.bool), draw)


@pytest.fixture
def teacher_of():
    """Function from a model to a teacher with other weights."""

    def make(model, batchnorm="frozen"):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
        return Teacher(other, batchnorm)

    return make


@pytest.fixture
def step_of(batch):
    """Function from a model and a teacher (or None) to what a strategy sees of a step."""

    def make(model, teacher=None, maps=False):
        draw = torch.Generator().manual_seed(2)
        views = [torch.randn(6, 3, 8, 8, generator=draw) for _ in range(2)]
        return Step(batch, views, model, model(views, maps=maps), teacher)

    return make
