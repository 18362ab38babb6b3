"""The network under evaluation."""

import torch

from cassle.contracts.specs import Component
from cassle.data.streams import Stream
from cassle.evaluation.subject import load_own_subject, load_subject
from cassle.models.checkpoints import Checkpoint, save_checkpoint
from cassle.plan.probes import probe_component, probe_spec
from cassle.training.build import build_model
from tests.unit.specs import provenance, train_specs

STUDY = {"stream": "digits-class5", "objective": "byol", "strategy": "finetune", "backbone": "conv3-narrow"}


def checkpoint(path):
    spec = train_specs(**STUDY)[0]
    model = build_model(spec, 16, 10)
    save_checkpoint(path, Checkpoint(model.state_dict(), {}, provenance(spec)))
    return load_own_subject(path, {})


def untrained():
    stream, backbone = Stream.parse("digits-class5"), Component(name="conv3-narrow", settings={})
    return load_subject(probe_spec([probe_component("knn")], stream, 0, {}, backbone), None, {})


def test_what_a_network_makes_of_an_image_depends_on_no_other_image(tmp_path):
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for subject in (checkpoint(tmp_path / "checkpoint.pt"), untrained()):
        whole = subject.backbone(images)
        torch.testing.assert_close(torch.cat([subject.backbone(part) for part in images.split(2)]), whole)
        if subject.objective is not None:
            parts = [subject.project(part) for part in whole.split(2)]
            torch.testing.assert_close(torch.cat(parts), subject.project(whole))


def test_nothing_of_a_network_is_trained_by_its_evaluation(tmp_path):
    subject = checkpoint(tmp_path / "checkpoint.pt")
    modules = (subject.backbone, subject.objective, subject.classifier)
    assert not any(parameter.requires_grad for module in modules for parameter in module.parameters())
    assert not any(parameter.requires_grad for parameter in untrained().backbone.parameters())
