"""What a finished study says in a terminal."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from cassle.contracts.records import ProbeRecord, TrainRecord, read_record
from cassle.core.errors import CassleError


def listing(folder: Path) -> str:
    """Return a study's tables as text, and the paths of its figures and report."""
    tables = sorted(folder.glob("tables/*/*.md"))
    if not tables:
        raise CassleError(f"there are no tables under {folder}; run `snakemake --cores all` first")
    patterns = ("figures/*/*/*.pdf", "features/*/*.pdf", "timeline.pdf")
    figures = [f"  {file}" for pattern in patterns for file in sorted(folder.glob(pattern))]
    report = folder / "report.html"
    reported = f"  {report}" if report.is_file() else "  `snakemake --cores all report` writes one"
    lines = [*(table.read_text() for table in tables), "Figures:", *figures, "Report:", reported]
    return "\n".join(lines)


def where(folder: Path) -> str | None:
    """Return in a line where a study's report is and how its tables are shown, or None if it has no tables yet."""
    if not any(folder.glob("tables/*/*.md")):
        return None
    report = folder / "report.html"
    shown = f"`cassle show {folder}` prints its tables"
    return f"{report} is the report, {shown}" if report.is_file() else f"{folder}: {shown}"


def time_spent(results: Path, since: float, cores: int) -> str:
    """Return where the time of ``cores`` cores went since a moment (seconds since 1970), in a few lines.

    Training and probing are measured inside the jobs; start-up is what their processes took beyond that; the rest is
    everything else, waiting included.
    """
    wall = time.time() - since
    work = {kind: _seconds(results, pattern, since) for kind, pattern in PATTERNS.items()}
    processes = sum(_wall(file) for file in results.rglob("*.benchmark.tsv") if file.stat().st_mtime >= since)
    if not processes:
        return "No job had to run."
    start_up = max(0.0, processes - sum(work.values()))  # a resumed training counts what it did before, too
    shares = {**work, "process start-up": start_up, "rest": cores * wall - processes}
    lines = [f"{wall:.0f} s on {cores} cores; of their {cores * wall:.0f} core-seconds:"]
    lines += [
        f"  {kind:18}{seconds:7.0f} s {100 * seconds / (cores * wall):5.0f} %" for kind, seconds in shares.items()
    ]
    return "\n".join(lines)


PATTERNS = {"training": "task*/train.json", "probing": "probes/*/*.json"}


def _seconds(results: Path, pattern: str, since: float) -> float:
    files = (file for file in results.rglob(pattern) if file.stat().st_mtime >= since)
    kind: type[ProbeRecord | TrainRecord] = ProbeRecord if pattern.startswith("probes") else TrainRecord
    return sum(read_record(kind, file).seconds for file in files)


def _wall(benchmark: Path) -> float:
    with benchmark.open() as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])
