"""What a table of a study says: average accuracy, forgetting and forward transfer, and what they are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cassle.contracts.layout import RANDOM
from cassle.contracts.summary import read_summary
from cassle.core.files import write_text
from cassle.reporting.rows.benchmark import read_jobs
from cassle.reporting.rows.frame import EXECUTION, read_runs
from cassle.reporting.rows.matrix import METRICS, Result, unlike
from cassle.reporting.rows.method_results import methods_of
from cassle.reporting.rows.names import FINETUNE, RANDOM_TITLE
from cassle.reporting.tables import cells
from cassle.reporting.tables.cells import MIXED, OTHER_EPOCHS, TIMES, WORK
from cassle.reporting.tables.formats import UNDEFINED, Table, TableCell, html_text, markdown_text
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
    methods = methods_of(read_runs(runs), summary, stream, probe, known)
    table = table_of(methods, summary.title(stream, probe))
    texts = {
        ".md": markdown_text(table),
        ".csv": csv_text(methods, stream, probe),
        ".tex": latex_text(table),
        ".html": html_text(table),
    }
    for suffix, text in texts.items():
        write_text(out.with_suffix(suffix), text)


def table_of(methods: list[Result], title: str) -> Table:
    """Return the table of methods; columns that would be empty are left out."""
    sources: list[str] = []
    differing = {column for method in methods for column in method.mixed}
    best = _best(methods, differing)
    untrained = {method.backbone: method for method in methods if method.strategy == RANDOM}
    bases = {(c.backbone, c.objective): c for c in methods if c.strategy == FINETUNE}
    time = cells.unit(TIMES, [method.hours for method in methods])
    work = cells.unit(WORK, [method.flops for method in methods])
    rows = []
    for method in methods:
        row = {
            "backbone": TableCell(method.backbone, title=method.printed.backbone),
            "objective": TableCell(method.objective or UNDEFINED, title=method.printed.objective),
            "strategy": TableCell(
                RANDOM_TITLE if method.strategy == RANDOM else method.strategy,
                mark=MIXED if method.mixed else "",
                title=method.printed.strategy,
            ),
            **{head: _metric(method, letter, best, untrained, differing) for letter, head in HEADS.items()},
            AWARE: cells.aware(method),
            "n": cells.seeds(method),
            "A − fine-tuning": cells.difference(method, bases.get((method.backbone, method.objective)), differing),
        }
        for letter in METRICS:
            row |= cells.published(method, letter, sources)
        row[f"training ({time})"] = cells.spent(method.hours, TIMES[time])
        row[f"training ({work})"] = cells.spent(method.flops, WORK[work])
        rows.append(row)
    heads = [head for head in (rows[0] if rows else {}) if _shown(head, rows)]
    labels = sum(head in ("backbone", "objective", "strategy") for head in heads)
    return Table(title, heads, rows, labels, _notes(methods, heads, differing), sources)


def _metric(
    method: Result,
    name: str,
    best: dict[tuple[int, str], str],
    untrained: dict[str, Result],
    differing: set[str],
) -> TableCell:
    """Return a metric, marked if it was compared with what ran differently: other strategies, the random network."""
    place = (id(method), name)
    mark = best.get(place, "")
    if name == "T" and method.values(METRICS[name]):
        mark = mark or cells.marked(unlike((method, untrained[method.backbone])), differing)
    return cells.metric(method, name, place in best, mark)


def _shown(head: str, rows: list[dict[str, TableCell]]) -> bool:
    if head == "backbone":
        return len({row[head].text for row in rows}) > 1
    if head == AWARE:  # where every task has every class, to know the task changes nothing
        return any(row[head].text not in ("", row[HEADS["A"]].text) for row in rows)
    return any(row[head].text for row in rows)


def _best(methods: list[Result], differing: set[str]) -> dict[tuple[int, str], str]:
    """Return (method, metric) of the best strategies of each backbone and objective, equal as printed, if several ran.

    With each stands its mark, where runs that were executed differently are compared; their columns are added to
    ``differing``.
    """
    groups: dict[tuple[str, str, str], list[tuple[Result, float]]] = {}
    for method in methods:
        for name, metric in METRICS.items():
            if method.continual and (values := method.values(metric)):
                printed = UP[name] * round(100 * float(np.mean(values)), 1)
                groups.setdefault((method.backbone, method.objective, name), []).append((method, printed))
    best: dict[tuple[int, str], str] = {}
    for (_, _, name), found in groups.items():
        if len(found) > 1:
            mark = cells.marked(unlike(method for method, _ in found), differing)
            most = max(value for _, value in found)
            best |= {(id(method), name): mark for method, printed in found if printed == most}
    return best


def _notes(methods: list[Result], heads: list[str], differing: set[str]) -> list[str]:
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
    if others := _other_epochs(methods):
        notes.append(f"{OTHER_EPOCHS} of another number of epochs per task ({others}), so that no difference is taken.")
    values = {
        column: sorted({v for method in methods for v in method.execution.get(column, [])}) for column in EXECUTION
    }
    reported = [f"{column} {', '.join(filter(None, found))}" for column, found in values.items() if any(found)]
    if reported := [text for text in reported if not text.startswith("code ")]:
        notes.append(f"Run with {'; '.join(reported)}.")
    if differing:
        notes.append(f"{MIXED} mixes or compares runs that differ in {', '.join(sorted(differing))}.")
    return notes


def _other_epochs(methods: list[Result]) -> str:
    """Return the epochs of published numbers that are not those of their methods, and the methods' own."""
    numbers = [
        (method.published[name], method.epochs) for method in methods for name in METRICS if name in method.published
    ]
    pairs = {(number.epochs or 0, ours or 0) for number, ours in numbers if not number.comparable(ours)}
    return "; ".join(f"{theirs} published, {ours} here" for theirs, ours in sorted(pairs))
