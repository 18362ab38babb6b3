"""What a table of a study says: average accuracy, forgetting and forward transfer, and what they are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cassle.files import write_text
from cassle.reporting.formats import UNDEFINED, Entry, Table, html_text, markdown_text
from cassle.reporting.frame import EXECUTION, read_runs, read_summary, title_of
from cassle.reporting.jobs import read_jobs
from cassle.reporting.latex import latex_text
from cassle.reporting.matrix import METRICS, Cell, accuracy_aware, cells_of
from cassle.reporting.mixtures import unlike
from cassle.reporting.names import FINETUNE, RANDOM
from cassle.reporting.statistics import paired, spread
from cassle.reporting.tidy import csv_text

MISSING = "missing"
MIXED = "*"
OTHER_EPOCHS = "†"
AWARE = "A known task ↑"
HEADS = {"A": "A ↑", "F": "F ↓", "T": "T ↑"}
UP = {"A": 1, "F": -1, "T": 1}
"""Metric -> 1 if more is better, -1 if less is."""
TIMES = {"h": 1.0, "min": 1 / 60, "s": 1 / 3600}
"""Unit of a column of training times -> hours it has."""
WORK = {f"{prefix}FLOP": 1000.0**power for power, prefix in zip(range(6, 1, -1), "EPTGM", strict=True)}
"""Unit of a column of training's operations -> operations it has."""


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
    table = table_of(cells, title_of(summary, stream, probe))
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
    bases = {(c.backbone, c.objective): c for c in cells if c.strategy == FINETUNE}
    time, work = _unit(TIMES, [cell.hours for cell in cells]), _unit(WORK, [cell.flops for cell in cells])
    rows = []
    for cell in cells:
        row = {
            "backbone": Entry(cell.backbone),
            "objective": Entry(cell.objective or UNDEFINED),
            "strategy": Entry(
                "random network" if cell.strategy == RANDOM else cell.strategy, mark=MIXED if cell.mixed else ""
            ),
            **{head: _metric(cell, letter, best) for letter, head in HEADS.items()},
            AWARE: _aware(cell),
            "n": Entry(*_seeds(cell)),
            "A − fine-tuning": _difference(cell, bases.get((cell.backbone, cell.objective)), differing),
        }
        for letter in METRICS:
            row |= _published(cell, letter, sources)
        row[f"training ({time})"] = _spent(cell.hours, TIMES[time])
        row[f"training ({work})"] = _spent(cell.flops, WORK[work])
        rows.append(row)
    heads = [head for head in (rows[0] if rows else {}) if _shown(head, rows)]
    labels = sum(head in ("backbone", "objective", "strategy") for head in heads)
    return Table(title, heads, rows, labels, _notes(cells, heads, differing), sources)


def _shown(head: str, rows: list[dict[str, Entry]]) -> bool:
    if head == "backbone":
        return len({row[head].text for row in rows}) > 1
    if head == AWARE:  # where every task has every class, to know the task changes nothing
        return any(row[head].text not in ("", row[HEADS["A"]].text) for row in rows)
    return any(row[head].text for row in rows)


def _metric(cell: Cell, name: str, best: dict[tuple[int, str], str]) -> Entry:
    """Return mean ± spread in per cent; a dash where the metric means nothing, and a word where a run is missing."""
    if not cell.has(name):
        return Entry(UNDEFINED)
    values, place = cell.values(METRICS[name]), (id(cell), name)
    return Entry(*_per_cent(values), bold=place in best, mark=best.get(place, "")) if values else Entry(MISSING)


def _aware(cell: Cell) -> Entry:
    values = cell.values(accuracy_aware)
    return Entry(*_per_cent(values)) if values else Entry()


def _per_cent(values: list[float]) -> tuple[str, float]:
    mean = 100 * float(np.mean(values))
    return (f"{mean:.1f} ± {100 * spread(values):.1f}" if len(values) > 1 else f"{mean:.1f}"), mean


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
            mark = _marked(unlike(cell for cell, _ in found), differing)
            most = max(value for _, value in found)
            best |= {(id(cell), name): mark for cell, printed in found if printed == most}
    return best


def _marked(columns: list[str], differing: set[str]) -> str:
    """Return the mark of a number that compares runs differing in columns, which are added to those told below."""
    differing |= set(columns)
    return MIXED if columns else ""


def _seeds(cell: Cell) -> tuple[str, float]:
    n, wanted = len(cell.values(METRICS["A"])), len(cell.seeds)
    return (str(n) if n == wanted else f"{n} of {wanted}"), n


def _difference(cell: Cell, base: Cell | None, differing: set[str]) -> Entry:
    """Return the paired difference to fine-tuning in points of A, with its interval if there are several pairs.

    It is marked where the two were executed differently; the columns are added to ``differing``.
    """
    if base is None or cell is base or cell.strategy == RANDOM:
        return Entry()
    found = paired(cell, base, METRICS["A"])
    if found is None:
        return Entry()
    interval = f" [{signed(100 * found.low)}, {signed(100 * found.high)}]" if found.n > 1 else ""
    pairs = f" ({found.n} pair{'s' if found.n > 1 else ''})" if found.n < len(cell.values(METRICS["A"])) else ""
    mark = _marked(unlike((cell, base)), differing)
    return Entry(signed(100 * found.mean) + interval + pairs, 100 * found.mean, mark=mark)


def signed(value: float) -> str:
    """Return a number with one digit and its sign; zero has none.

    >>> signed(-0.04), signed(3.14), signed(-2)
    ('0.0', '+3.1', '−2.0')
    """
    text = f"{value:+.1f}"
    return "0.0" if text[1:] == "0.0" else text.replace("-", "−")


def _published(cell: Cell, name: str, sources: list[str]) -> dict[str, Entry]:
    """Return the columns of the published number and of ours minus it; its source becomes a footnote.

    Between numbers of different epochs no difference is taken.
    """
    columns = f"published {name}", f"{name} − published"
    if name not in cell.published:
        return dict.fromkeys(columns, Entry())
    number = cell.published[name]
    if number.source not in sources:
        sources.append(number.source)
    value, values = 100 * number.value, cell.values(METRICS[name])
    comparable = number.comparable(cell.epochs)
    text = f"{value:.1f}" if comparable else f"{value:.1f}{OTHER_EPOCHS}"
    theirs = Entry(text, value, mark=chr(ord("a") + sources.index(number.source)))
    gap = 100 * float(np.mean(values)) - value if values else float("nan")
    return dict(zip(columns, (theirs, Entry(signed(gap), gap) if values and comparable else Entry()), strict=True))


def _unit(units: dict[str, float], spent: list[dict[int, float]]) -> str:
    """Return the largest unit that the most of what was spent has one of, else the smallest."""
    most = max((value for one in spent for value in one.values()), default=0.0)
    return next((name for name, size in units.items() if most >= size), list(units)[-1])


def _spent(spent: dict[int, float], unit: float) -> Entry:
    """Return the mean over the seeds that have A."""
    values = [value / unit for value in spent.values()]
    return Entry(f"{np.mean(values):.1f}", float(np.mean(values))) if values else Entry()


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
