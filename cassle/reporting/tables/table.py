"""What a table of a study says: average accuracy, forgetting and forward transfer, and what they are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cassle.contracts.layout import RANDOM
from cassle.contracts.summary import read_summary
from cassle.core.files import write_text
from cassle.reporting.rows.benchmark import read_jobs
from cassle.reporting.rows.cells import cells_of
from cassle.reporting.rows.frame import EXECUTION, read_runs
from cassle.reporting.rows.matrix import METRICS, Cell, unlike
from cassle.reporting.rows.names import FINETUNE, RANDOM_TITLE
from cassle.reporting.tables import entries
from cassle.reporting.tables.entries import MIXED, OTHER_EPOCHS, TIMES, WORK
from cassle.reporting.tables.formats import UNDEFINED, Entry, Table, html_text, markdown_text
from cassle.reporting.tables.latex import latex_text
from cassle.reporting.tables.tidy import csv_text

AWARE = "A known task ↑"
HEADS = {"A": "A ↑", "F": "F ↓", "T": "T ↑"}
UP = {"A": 1, "F": -1, "T": 1}
"""Metric -> 1 if more is better, -1 if less is."""


def write_tables(
    runs: str | Path, study: str | Path, stream: str, probe: str, out: Path, jobs: str | Path | None = None
) -> None:
    """Write the table of a stream under a probe beside ``out``, with endings .md, .csv, .tex and .html.

    Per cent, mean ± standard deviation over seeds with their number n; paired differences to fine-tuning; published
    numbers where there are any. With ``jobs`` (``benchmark.csv``) the hours of training, too.
    """
    known = None if jobs is None else read_jobs(jobs)
    summary = read_summary(study)
    cells = cells_of(read_runs(runs), summary, stream, probe, known)
    table = table_of(cells, summary.title(stream, probe))
    texts = {
        ".md": markdown_text(table),
        ".csv": csv_text(cells, stream, probe),
        ".tex": latex_text(table),
        ".html": html_text(table),
    }
    for suffix, text in texts.items():
        write_text(out.with_suffix(suffix), text)


def table_of(cells: list[Cell], title: str) -> Table:
    """Return the table of cells; columns that would be empty are left out."""
    sources: list[str] = []
    differing = {column for cell in cells for column in cell.mixed}
    best = _best(cells, differing)
    untrained = {cell.backbone: cell for cell in cells if cell.strategy == RANDOM}
    bases = {(c.backbone, c.objective): c for c in cells if c.strategy == FINETUNE}
    time = entries.unit(TIMES, [cell.hours for cell in cells])
    work = entries.unit(WORK, [cell.flops for cell in cells])
    rows = []
    for cell in cells:
        row = {
            "backbone": Entry(cell.backbone, title=cell.printed.backbone),
            "objective": Entry(cell.objective or UNDEFINED, title=cell.printed.objective),
            "strategy": Entry(
                RANDOM_TITLE if cell.strategy == RANDOM else cell.strategy,
                mark=MIXED if cell.mixed else "",
                title=cell.printed.strategy,
            ),
            **{head: _metric(cell, letter, best, untrained, differing) for letter, head in HEADS.items()},
            AWARE: entries.aware(cell),
            "n": entries.seeds(cell),
            "A − fine-tuning": entries.difference(cell, bases.get((cell.backbone, cell.objective)), differing),
        }
        for letter in METRICS:
            row |= entries.published(cell, letter, sources)
        row[f"training ({time})"] = entries.spent(cell.hours, TIMES[time])
        row[f"training ({work})"] = entries.spent(cell.flops, WORK[work])
        rows.append(row)
    heads = [head for head in (rows[0] if rows else {}) if _shown(head, rows)]
    labels = sum(head in ("backbone", "objective", "strategy") for head in heads)
    return Table(title, heads, rows, labels, _notes(cells, heads, differing), sources)


def _metric(
    cell: Cell, name: str, best: dict[tuple[int, str], str], untrained: dict[str, Cell], differing: set[str]
) -> Entry:
    """Return a metric, marked if it was compared with what ran differently: other strategies, the random network."""
    place = (id(cell), name)
    mark = best.get(place, "")
    if name == "T" and cell.values(METRICS[name]):
        mark = mark or entries.marked(unlike((cell, untrained[cell.backbone])), differing)
    return entries.metric(cell, name, place in best, mark)


def _shown(head: str, rows: list[dict[str, Entry]]) -> bool:
    if head == "backbone":
        return len({row[head].text for row in rows}) > 1
    if head == AWARE:  # where every task has every class, to know the task changes nothing
        return any(row[head].text not in ("", row[HEADS["A"]].text) for row in rows)
    return any(row[head].text for row in rows)


def _best(cells: list[Cell], differing: set[str]) -> dict[tuple[int, str], str]:
    """Return (cell, metric) of the best strategies of each backbone and objective, equal as printed, if several ran.

    With each stands its mark, where runs that were executed differently are compared; their columns are added to
    ``differing``.
    """
    groups: dict[tuple[str, str, str], list[tuple[Cell, float]]] = {}
    for cell in cells:
        for name, metric in METRICS.items():
            if cell.continual and (values := cell.values(metric)):
                printed = UP[name] * round(100 * float(np.mean(values)), 1)
                groups.setdefault((cell.backbone, cell.objective, name), []).append((cell, printed))
    best: dict[tuple[int, str], str] = {}
    for (_, _, name), found in groups.items():
        if len(found) > 1:
            mark = entries.marked(unlike(cell for cell, _ in found), differing)
            most = max(value for _, value in found)
            best |= {(id(cell), name): mark for cell, printed in found if printed == most}
    return best


def _notes(cells: list[Cell], heads: list[str], differing: set[str]) -> list[str]:
    """Return what a reader must know: units, and how the runs were executed, mixtures named."""
    notes = [
        "Per cent. A: average accuracy after the last task; F: forgetting; T: forward transfer; n: seeds. "
        "± is the standard deviation over seeds; the best strategy of an objective is bold."
    ]
    if "A − fine-tuning" in heads:
        notes.append(
            "A − fine-tuning: mean difference over seeds that both have, with its 95 % confidence interval (t)."
        )
    if AWARE in heads:
        notes.append("A known task: only classes of the image's task compete.")
    if any(head.startswith("training") for head in heads):
        notes.append("Training: all tasks of a run, the shared first one included, mean over seeds that have A.")
    if any(head.endswith("FLOP)") for head in heads):
        notes.append("FLOP: matrix products and convolutions, counted; a multiplication and an addition are two.")
    if others := _other_epochs(cells):
        notes.append(f"{OTHER_EPOCHS} of another number of epochs per task ({others}), so that no difference is taken.")
    values = {column: sorted({v for cell in cells for v in cell.execution.get(column, [])}) for column in EXECUTION}
    told = [f"{column} {', '.join(filter(None, found))}" for column, found in values.items() if any(found)]
    if told := [text for text in told if not text.startswith("code ")]:
        notes.append(f"Run with {'; '.join(told)}.")
    if differing:
        notes.append(f"{MIXED} mixes or compares runs that differ in {', '.join(sorted(differing))}.")
    return notes


def _other_epochs(cells: list[Cell]) -> str:
    """Return the epochs of published numbers that are not those of their cells, and the cells' own."""
    numbers = [(cell.published[name], cell.epochs) for cell in cells for name in METRICS if name in cell.published]
    pairs = {(number.epochs or 0, ours or 0) for number, ours in numbers if not number.comparable(ours)}
    return "; ".join(f"{theirs} published, {ours} here" for theirs, ours in sorted(pairs))
