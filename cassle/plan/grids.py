"""From a study to its plan: every combination of its grids is resolved once, before anything runs."""

from __future__ import annotations

from cassle.contracts.summary import TableRow
from cassle.core.registry import load_plugins
from cassle.data.base import declare
from cassle.plan.chains import Chain
from cassle.plan.checks import check_method, check_names, fingerprint_of_first_checkpoint
from cassle.plan.components import LabeledComponent, backbone_component, shown_stream, stream_of
from cassle.plan.methods import Method, method_of
from cassle.plan.plan import Plan
from cassle.plan.presets import data_preset
from cassle.plan.probes import EvaluationPlan, probe_component
from cassle.plan.wanted import EVERYTHING, Wanted, joint_stream
from cassle.settings.study import Study


def resolve(study: Study, wanted: Wanted = EVERYTHING) -> Plan:
    """Return the plan of a study; raises `SettingsError` for anything impossible in it.

    With ``wanted`` the plan has only the runs that one job belongs to, resolved by the same steps, without rows of
    tables and without the checks that the main process has made of all runs.
    """
    load_plugins(study.plugins)
    declare(study.data)
    plan = Plan(study)
    for grid in study.complete_grids():
        if wanted is EVERYTHING:
            check_names(grid)
        _add_grid(plan, grid, wanted)
    return plan


def _add_grid(plan: Plan, grid: Study, wanted: Wanted) -> None:
    """Add the runs of one grid, complete in itself, and the rows of its tables."""
    data = data_preset(grid.preset, grid.data)
    first_checkpoint = fingerprint_of_first_checkpoint(grid)
    probes = [probe_component(choice) for choice in grid.probes]
    for choice in grid.streams:
        stream = stream_of(choice, data)
        evaluation = EvaluationPlan(stream, probes, data)
        if not any(map(wanted.has_stream, [stream] if wanted.runs else [stream, *evaluation.others()])):
            continue
        evaluation.check()
        _add_streams(plan, evaluation, offline=grid.offline)
        if not wanted.runs:
            continue
        dataset = stream.open({})
        plan.name(stream.name, shown_stream(stream, grid))
        methods = [method_of(grid, one, stream.dataset, first_checkpoint) for one in grid.objectives]
        components = (one for method in methods for one in (method.objective, *method.strategies))
        for component in (*probes, *components):
            plan.name(component.label, component.shown)
        for one in grid.backbones or [dataset.default_backbone]:
            backbone = backbone_component(one, grid, dataset.image_size)
            if wanted.backbone not in (None, backbone.label):
                continue
            plan.name(backbone.label, backbone.shown)
            for method in methods if wanted is EVERYTHING else []:
                check_method(method, backbone, dataset.image_size, grid.execution.sharing(dataset.gpus))
            for seed in grid.seeds:
                if wanted.seed not in (None, seed):
                    continue
                _add_random_network(plan, evaluation, backbone, seed)
                for method in methods:
                    joint = [] if method.joint is None else [method.joint.label]
                    if wanted.objective in (None, method.objective.label, *joint):
                        Chain(grid, stream, backbone, method, seed, evaluation).add_to(plan)
                    if wanted is EVERYTHING:
                        _add_rows(plan, evaluation, backbone, method)


def _add_streams(plan: Plan, evaluation: EvaluationPlan, offline: bool) -> None:
    """Add the streams that are trained and evaluated on."""
    joint = [joint_stream(evaluation.stream)] if offline else []
    for stream in [evaluation.stream, *joint, *evaluation.others()]:
        plan.streams[stream.name] = stream


def _add_random_network(plan: Plan, evaluation: EvaluationPlan, backbone: LabeledComponent, seed: int) -> None:
    if (job := evaluation.of_random_network(backbone, seed)) is not None:
        plan.add_probe(job)


def _add_rows(plan: Plan, evaluation: EvaluationPlan, backbone: LabeledComponent, method: Method) -> None:
    for label in method.labels():
        for probe in evaluation.probes:
            row = TableRow(
                stream=evaluation.stream.name,
                backbone=backbone.label,
                objective=method.objective.label,
                strategy=label,
                probe=probe.label,
                epochs=method.training.epochs,
            )
            plan.rows.setdefault(row)
