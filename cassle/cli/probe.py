"""Verbs that evaluate a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cassle.cli.execution import leased, prepare_site, site_of
from cassle.cli.overrides import check_digest
from cassle.contracts.layout import ProbeFile, index_file, split_file

if TYPE_CHECKING:
    from cassle.contracts.specs import ProbeSpec
    from cassle.settings.site import Site


def probe(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint, an external checkpoint, or the random network on every task of a stream."""
    out, checkpoint = Path(args.out), Path(args.checkpoint) if args.checkpoint else None
    if args.plan:
        from cassle.contracts.plan_file import JobPlan

        plan = JobPlan(Path(args.plan))
        spec, site = plan.probe_job(str(ProbeFile.parse(args.out))).spec, plan.site
        check_digest(args, spec)
        with _begun(args, spec.digest, site):
            _evaluate(args, spec, site, checkpoint, sorted({*out.parent.glob("*.json")} - {out}))
        return
    site = site_of(args)
    with leased(args.gpus, site.execution, out):
        from cassle.plan.probes import spec_of_options

        options = (args.stream, args.dataset, args.probes, args.backbone, args.stem_padding, args.image_size)
        _evaluate(args, spec_of_options(site.data, checkpoint, *options), site, checkpoint, [])


def _evaluate(
    args: argparse.Namespace, spec: ProbeSpec, site: Site, checkpoint: Path | None, reuse: list[Path]
) -> None:
    from cassle.evaluation.probe_checkpoint import probe_checkpoint
    from cassle.evaluation.probe_request import ProbeRequest

    index = args.index or [index_file(stream.index) for stream in spec.streams]
    split = args.split or [split_file(stream.name) for stream in spec.streams]
    files = list(map(Path, index)), list(map(Path, split))
    found = probe_checkpoint(ProbeRequest(spec, site, *files, Path(args.out), checkpoint, reuse))
    for name, accuracies in found.accuracies.items():
        print(name, " ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies))


def features(args: argparse.Namespace) -> None:
    """Write the features of test images of the stream that --out is named after, by a checkpoint's network."""
    from cassle.contracts.plan_file import JobPlan

    plan = JobPlan(Path(args.plan))
    stream = plan.stream(Path(args.out).stem)
    with _begun(args, stream.name, plan.site):
        from cassle.evaluation.snapshot import SnapshotRequest, write_snapshot

        index, split, checkpoint, out = map(Path, (args.index, args.split, args.checkpoint, args.out))
        write_snapshot(SnapshotRequest(stream, plan.site, index, split, checkpoint, out, args.images))


@contextmanager
def _begun(args: argparse.Namespace, digest: str, site: Site) -> Iterator[None]:
    """Lease devices for a job of the workflow; a failure is recorded for the next attempt."""
    from cassle.monitor.failures import recorded

    with recorded(Path(args.out), digest, args.attempt), leased(args.gpus, site.execution, args.out):
        prepare_site(site)
        yield
