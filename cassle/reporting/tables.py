"""Tables of a study: average accuracy, forgetting and forward transfer, as Markdown, CSV, LaTeX and HTML."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cassle.files import write_text
from cassle.reporting.frame import EXECUTION, read_runs, read_summary
from cassle.reporting.matrix import METRICS, RANDOM, Cell, cells_of, spread

MISSING = "—"
MIXED = "*"
HEADS = {"A": "A ↑", "F": "F ↓", "T": "T ↑"}
LATEX = {
    "A ↑": r"$A\uparrow$",
    "F ↓": r"$F\downarrow$",
    "T ↑": r"$T\uparrow$",
    "±": r"$\pm$",
    MISSING: "--",
    "_": r"\_",
    "~": r"\textasciitilde{}",
}
STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th { border-bottom: 1px solid; text-align: left; } th, td { padding: .25em .9em; }
td:nth-last-child(-n+4), th:nth-last-child(-n+4) { text-align: right; font-variant-numeric: tabular-nums; }
p { max-width: 46em; color: #444; }"""


def write_tables(runs: str | Path, study: str | Path, stream: str, probe: str, out: Path) -> None:
    """Write the table of a stream under a probe beside ``out``, with endings .md, .csv, .tex and .html.

    Per cent, mean ± standard deviation over seeds with their number n; a dash where nothing was measured.
    """
    cells = cells_of(read_runs(runs), read_summary(study), stream, probe)
    title = f"{stream}, probe {probe}"
    shown, notes = _shown(cells), _notes(cells)
    texts: dict[str, Callable[[], str]] = {
        ".md": lambda: _markdown(title, shown, notes),
        ".csv": lambda: _csv(cells, stream, probe),
        ".tex": lambda: _latex(title, shown, notes),
        ".html": lambda: _html(title, shown, notes),
    }
    for suffix, text in texts.items():
        write_text(out.with_suffix(suffix), text())


def _per_cent(values: list[float]) -> str:
    if not values:
        return MISSING
    mean = f"{100 * np.mean(values):.1f}"
    return f"{mean} ± {100 * spread(values):.1f}" if len(values) > 1 else mean


def _shown(cells: list[Cell]) -> pd.DataFrame:
    """Return the table as text; the backbone is a column only if there are several."""
    rows = []
    for cell in cells:
        texts = {HEADS[name]: _per_cent(cell.values(metric)) for name, metric in METRICS.items()}
        mark = MIXED if cell.mixed else ""
        rows.append(
            {
                "backbone": cell.backbone,
                "objective": cell.objective or MISSING,
                "strategy": "random network" if cell.strategy == RANDOM else cell.strategy + mark,
                **texts,
                "n": str(len(cell.values(METRICS["A"]))),
            }
        )
    table = pd.DataFrame(rows, columns=["backbone", "objective", "strategy", *HEADS.values(), "n"])
    return table.drop(columns="backbone") if table["backbone"].nunique() < 2 else table


def _notes(cells: list[Cell]) -> list[str]:
    """Return what a reader must know: units, and how the runs were executed, mixtures named."""
    notes = [
        "Per cent. A: average accuracy after the last task; F: forgetting; T: forward transfer; n: seeds. "
        "± is the standard deviation over seeds."
    ]
    values = {column: sorted({v for cell in cells for v in cell.execution.get(column, [])}) for column in EXECUTION}
    told = [f"{column} {', '.join(found)}" for column, found in values.items() if found and column != "code"]
    if told:
        notes.append(f"Run with {'; '.join(told)}.")
    if mixed := sorted({column for cell in cells for column in cell.mixed}):
        notes.append(f"{MIXED} mixes runs that differ in {', '.join(mixed)}.")
    return notes


def _markdown(title: str, shown: pd.DataFrame, notes: list[str]) -> str:
    texts = ["left"] * (len(shown.columns) - 4) + ["right"] * 4
    table = shown.to_markdown(index=False, disable_numparse=True, colalign=texts)
    return f"# {title}\n\n{table}\n\n" + "\n".join(note + "  " for note in notes) + "\n"


def _latex(title: str, shown: pd.DataFrame, notes: list[str]) -> str:
    def plain(text: str) -> str:
        for sign, code in LATEX.items():
            text = text.replace(sign, code)
        return text

    table = shown.rename(columns=plain).map(plain)
    columns = "l" * (len(shown.columns) - 4) + "rrrr"
    body = table.to_latex(index=False, escape=False, column_format=columns)
    return f"% {title}\n% needs \\usepackage{{booktabs}}\n{body}" + "".join(f"% {note}\n" for note in notes)


def _html(title: str, shown: pd.DataFrame, notes: list[str]) -> str:
    name = html.escape(title)
    body = shown.to_html(index=False, border=0) + "".join(f"\n<p>{html.escape(note)}</p>" for note in notes)
    head = f'<meta charset="utf-8"><title>{name}</title>\n<style>\n{STYLE}\n</style>'
    return f"<!doctype html>\n<html>\n<head>\n{head}\n</head>\n<body>\n<h1>{name}</h1>\n{body}\n</body>\n</html>\n"


def _csv(cells: list[Cell], stream: str, probe: str) -> str:
    """Return one row per cell and metric: fractions of 1, in full precision."""
    rows: list[dict[str, Any]] = []
    for cell in cells:
        for name, metric in METRICS.items():
            values = cell.values(metric)
            rows.append(
                {
                    "stream": stream,
                    "probe": probe,
                    "backbone": cell.backbone,
                    "objective": cell.objective,
                    "strategy": cell.strategy,
                    "metric": name,
                    "mean": float(np.mean(values)) if values else float("nan"),
                    "std": spread(values),
                    "n": len(values),
                    "mixed": " ".join(cell.mixed),
                }
            )
    text = io.StringIO()
    pd.DataFrame(rows).to_csv(text, index=False, lineterminator="\n")
    return text.getvalue()
