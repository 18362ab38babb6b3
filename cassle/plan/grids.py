"""From a study to its plan: every combination of its grids is resolved once, before anything runs."""

from __future__ import annotations

from cassle.contracts.layout import OFFLINE
from cassle.core.registry import load_plugins
from cassle.data.base import declare
from cassle.plan.chains import Chain
from cassle.plan.checks import check_method, check_names, fingerprint_of_first_checkpoint
from cassle.plan.methods import Method, method_of
from cassle.plan.parts import Part, backbone_part, shown_stream, stream_of
from cassle.plan.plan import Plan
from cassle.plan.presets import data_preset
from cassle.plan.probes import Evaluation, probe_part
from cassle.settings.study import Study


def resolve(study: Study) -> Plan:
    """Return the plan of a study; raises `SettingsError` for anything impossible in it."""
    load_plugins(study.plugins)
    declare(study.data)
    plan = Plan(study)
    for grid in study.complete_grids():
        check_names(grid)
        _add_grid(plan, grid)
    plan.cells["strategies"].sort(key=lambda name: name == OFFLINE)  # behind those that it bounds
    return plan


def _add_grid(plan: Plan, grid: Study) -> None:
    """Add the runs of one grid, complete in itself, and what tables show of it."""
    given, data = fingerprint_of_first_checkpoint(grid), data_preset(grid.preset, grid.data)
    probes = [probe_part(choice) for choice in grid.probes]
    for choice in grid.streams:
        stream = stream_of(choice, data)
        evaluation = Evaluation(stream, probes, data)
        evaluation.check()
        dataset = stream.open({})
        plan.name(stream.name, shown_stream(stream, grid))
        methods = [method_of(grid, one, stream.dataset, given) for one in grid.objectives]
        for part in [*probes, *(part for method in methods for part in (method.objective, *method.strategies))]:
            plan.name(part.label, part.shown)
        for one in grid.backbones or [dataset.default_backbone]:
            backbone = backbone_part(one, grid, dataset.image_size)
            plan.name(backbone.label, backbone.shown)
            for method in methods:
                check_method(method, backbone, dataset.image_size, grid.execution.sharing(dataset.gpus))
            for seed in grid.seeds:
                _add_random_network(plan, evaluation, backbone, seed)
                for method in methods:
                    Chain(grid, stream, backbone, method, seed, evaluation).add_to(plan)
                    _show(plan, evaluation, backbone, method)


def _add_random_network(plan: Plan, evaluation: Evaluation, backbone: Part, seed: int) -> None:
    plan.streams[evaluation.stream.name] = evaluation.stream
    if (job := evaluation.of_random_network(backbone, seed)) is not None:
        plan.add_probe(job)


def _show(plan: Plan, evaluation: Evaluation, backbone: Part, method: Method) -> None:
    for label in method.labels():
        for probe in evaluation.probes:
            row = (evaluation.stream.name, backbone.label, method.objective.label, label, probe.label)
            plan.show(*row, epochs=method.training.epochs)
