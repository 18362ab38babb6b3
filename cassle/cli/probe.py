"""Verbs that look at what a checkpoint has learned."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cassle.cli.execution import leased, object_of, site_of

if TYPE_CHECKING:
    from cassle.settings.site import Site


def probe(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint, a file of other software, or the random network on every task of a stream."""
    with _begun(args) as site:
        from cassle.contracts.layout import index_file, split_file
        from cassle.evaluation.base import streams_of
        from cassle.evaluation.probe_checkpoint import probe_checkpoint
        from cassle.evaluation.request import ProbeRequest

        checkpoint = Path(args.checkpoint) if args.checkpoint else None
        spec = object_of(args, "spec") if args.spec else _probe_words(args, site, checkpoint)
        streams = streams_of(spec)
        index = args.index or [index_file(stream.index) for stream in streams]
        split = args.split or [split_file(stream.name) for stream in streams]
        files = [Path(file) for file in index], [Path(file) for file in split]
        known = list(map(Path, args.known))
        found = probe_checkpoint(ProbeRequest(spec, site, *files, Path(args.out), checkpoint, known))
        for name, accuracies in found["accuracies"].items():
            print(name, " ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies))


def features(args: argparse.Namespace) -> None:
    """Write the features of test images of a stream, as a checkpoint's network sees them."""
    with _begun(args) as site:
        from cassle.evaluation.snapshot import SnapshotRequest, write_snapshot

        index, split, checkpoint, out = map(Path, (args.index, args.split, args.checkpoint, args.out))
        write_snapshot(SnapshotRequest(object_of(args, "spec"), site, index, split, checkpoint, out, args.images))


@contextmanager
def _begun(args: argparse.Namespace) -> Iterator[Site]:
    """Yield where an evaluation runs, devices leased; a failure leaves word for the next attempt of the workflow."""
    from cassle.monitor.failures import remembered

    with remembered(Path(args.out), object_of(args, "spec"), args.attempt) if args.spec else nullcontext():
        site = site_of(args)
        with leased(args.gpus, site.execution, args.out):
            yield site


def _probe_words(args: argparse.Namespace, site: Site, checkpoint: Path | None) -> dict[str, Any]:
    """Return the settings of an evaluation that the command line describes."""
    from cassle.plan.probes import described

    what = (args.stream, args.dataset, args.probes, args.backbone, args.stem_padding, args.image_size)
    return described(site.data, checkpoint, *what)
