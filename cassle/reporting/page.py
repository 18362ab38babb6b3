"""The report of a study as one page: tables, figures, cost, settings and provenance, in a file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cassle.contracts.layout import RANDOM, RECORD, TaskFolder
from cassle.contracts.records import TrainRecord, read_record_if_present
from cassle.contracts.summary import Kind, StudyRecord, printed, read_summary
from cassle.core.files import write_text
from cassle.reporting.rows.benchmark import jobs_of_study, read_jobs
from cassle.reporting.rows.frame import read_runs
from cassle.reporting.rows.matrix import METRICS
from cassle.reporting.rows.method_results import methods_of
from cassle.reporting.tables.formats import html_table
from cassle.reporting.tables.table import table_of

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def write_page(
    runs: str | Path,
    study: str | Path,
    jobs: str | Path,
    figures: Sequence[str | Path],
    out: Path,
    results: Path | None = None,
) -> None:
    """Write the report of a study; ``figures`` are files of which .svg and .png lie side by side.

    Records of trainings are looked for under ``results``, by default the folder of ``runs``.
    """
    summary, frame = read_summary(study), read_runs(runs)
    own = jobs_of_study(read_jobs(jobs), summary)
    records = records_of(own, results or Path(runs).parent)
    tables, runs_wanted, runs_found = [], set(), set()
    for stream, probe in summary.tables():
        methods = methods_of(frame, summary, stream, probe, own)
        for method in (method for method in methods if method.strategy != RANDOM):
            run = (stream, method.backbone, method.objective, method.strategy)
            runs_wanted |= {(*run, seed) for seed in method.seeds}
            runs_found |= {(*run, seed) for seed in method.by_seed(METRICS["A"])}
        table = table_of(methods, summary.title(stream, probe))
        tables.append({"title": table.title, "html": Markup(html_table(table))})
    texts = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = texts.get_template("page.html").render(
        name=summary.name,
        finished=len(runs_found),
        wanted=len(runs_wanted),
        tables=tables,
        figures=[{"caption": _caption(Path(file)), "source": _inline(Path(file))} for file in figures],
        cost=cost_of(own),
        settings=_settings(summary),
        specs=_specs(records),
        provenance=_provenance(records),
        checkpoints=[{"folder": folder, **record.as_json()} for folder, record in records.items()],
    )
    write_text(out, page)


def records_of(jobs: pd.DataFrame, results: Path) -> dict[str, TrainRecord]:
    """Return folder -> record of every training among jobs whose record exists."""
    folders = jobs[jobs["job"] == "train"]["folder"]
    found = {folder: read_record_if_present(TrainRecord, results / folder / RECORD) for folder in folders}
    return {folder: record for folder, record in found.items() if record is not None}


def cost_of(jobs: pd.DataFrame) -> dict[str, Any]:
    """Return a table as text: per kind of job and device their number, hours, speed and memory."""
    rows = []
    for (kind, device), part in jobs.groupby(["job", "device"], sort=True):
        rows.append(
            [
                f"{kind}, {device}" if device else str(kind),
                str(len(part)),
                _number(part["seconds"].sum(min_count=1) / 3600, 2),
                _number(part["images_per_second"].median(), 0),
                _number(part["memory_mb"].max() / 1024, 2),
                _number(part["gpu_mb"].max() / 1024, 2),
                str(int((part["attempts"] - 1).sum())),
            ]
        )
    heads = ["jobs", "number", "hours", "images/s (median)", "memory (GiB)", "GPU memory (GiB)", "repeated attempts"]
    return {"heads": heads, "rows": rows}


def _number(value: float, digits: int) -> str:
    return "" if pd.isna(value) else f"{value:,.{digits}f}"


def _caption(file: Path) -> str:
    """Return what a figure shows, from its path: .../<stream>/<probe or nothing>/<figure>."""
    parts = list(file.parts)
    place = next((parts[n + 1 : -1] for n in range(len(parts)) if parts[n] in ("figures", "features")), [])
    return ", ".join([file.stem.replace("_", " "), *place])


def _inline(file: Path) -> str:
    """Return the smaller one of a figure's .svg and .png as an address that holds it."""
    image = min((file.with_suffix(suffix) for suffix in TYPES), key=lambda path: path.stat().st_size)
    return f"data:{TYPES[image.suffix]};base64,{base64.b64encode(image.read_bytes()).decode()}"


def _settings(summary: StudyRecord) -> dict[str, str]:
    kinds: dict[Kind, list[str]] = {
        "backbones": summary.backbones,
        "objectives": summary.objectives,
        "strategies": summary.strategies,
        "probes": summary.probes,
    }
    lists: dict[str, list[str]] = {
        "streams": [printed(summary.name_of(label), {}) for label in summary.streams],
        **{kind: [summary.printed(kind, summary.name_of(label)) for label in kinds[kind]] for kind in kinds},
        "seeds": [str(seed) for seed in summary.seeds],
        "presets": summary.presets,
    }
    return {key: ", ".join(dict.fromkeys(names)) for key, names in lists.items()}


def _specs(records: dict[str, TrainRecord]) -> dict[str, str]:
    """Return directory of a run without seed and task -> the complete settings of its last task."""
    found: dict[str, str] = {}
    for folder, record in sorted(records.items(), key=lambda item: item[1].spec.task):
        at = TaskFolder.parse(folder)
        settings = record.spec.model_dump(mode="json", exclude={"seed", "task"}, exclude_none=True)
        run = f"{at.stream}/{at.backbone}/{at.objective}/{at.strategy}"
        found[run] = yaml.safe_dump(settings, allow_unicode=True, default_flow_style=None)
    return dict(sorted(found.items()))


def _provenance(records: dict[str, TrainRecord]) -> dict[str, str]:
    """Return the versions, devices and data of the trainings; where they differ, every value."""
    found: dict[str, dict[str, None]] = {}
    for record in records.values():
        for name, version in record.versions.items():
            found.setdefault(name, {})[version] = None
        for key in ("device", "precision", "loader", "processes", "threads", "data"):
            found.setdefault(key, {})[str(getattr(record, key))] = None
    return {key: ", ".join(values) for key, values in found.items()}
