"""A table as text, as Markdown, which calls things as settings do, and as HTML, which does as papers do."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

UNDEFINED = "—"
"""What a field says that can have no value."""
GROUPED = ("backbone", "objective")
"""Heads that are the same for all rows between two rules."""
STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th { border-bottom: 1px solid; text-align: left; vertical-align: bottom; } th, td { padding: .25em .8em; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.missing { color: #a33; font-style: italic; }
tr.group td { border-top: 1px solid #bbb; }
p { max-width: 46em; color: #444; margin: .4em 0; }"""


@dataclass(frozen=True)
class TableCell:
    """One field of a table: its text, the number behind it, and how it is set."""

    text: str = ""
    value: float = float("nan")
    bold: bool = False
    mark: str = ""
    """The letter of a footnote, or an asterisk."""
    title: str = ""
    """Printed by HTML and LaTeX in place of the text, if there is one."""


@dataclass
class Table:
    """A table as text: ``rows`` have one cell per head; the first ``labels`` columns are names."""

    title: str
    heads: list[str]
    rows: list[dict[str, TableCell]]
    labels: int
    notes: list[str]
    sources: list[str] = field(default_factory=list)
    """Footnotes a, b, c, ..."""


def markdown_text(table: Table) -> str:
    """Return the table for a terminal or a README."""

    def text(cell: TableCell) -> str:
        shown = f"**{cell.text}**" if cell.bold else cell.text
        return shown + (cell.mark if cell.mark in ("", "*") else f" [{cell.mark}]")

    rows = [[text(row[head]) for head in table.heads] for row in table.rows]
    align = ["left"] * table.labels + ["right"] * (len(table.heads) - table.labels)
    body = pd.DataFrame(rows, columns=table.heads).to_markdown(index=False, disable_numparse=True, colalign=align)
    notes = [*table.notes, *(f"[{letter}] {source}" for letter, source in footnotes(table))]
    return f"# {table.title}\n\n{body}\n\n" + "\n".join(note + "  " for note in notes) + "\n"


def html_text(table: Table) -> str:
    """Return the table as a page of its own."""
    name = html.escape(table.title)
    head = f'<meta charset="utf-8"><title>{name}</title>\n<style>\n{STYLE}\n</style>'
    body = html_table(table)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n<h1>{name}</h1>\n{body}</body>\n</html>\n'
    )


def html_table(table: Table) -> str:
    """Return the table and its notes; a field carries its number, for sorting."""
    first = "".join(f"<th{_number(table, head)}>{html.escape(head)}</th>" for head in table.heads)
    lines = ['<div class="scroll sortable"><table>', f"<thead><tr>{first}</tr></thead>", "<tbody>"]
    for group in grouped(table):
        for place, row in enumerate(group):
            fields = "".join(_field(table, head, row[head]) for head in table.heads)
            lines.append(f"<tr>{fields}</tr>" if place else f'<tr class="group">{fields}</tr>')
    lines += ["</tbody>", '</table></div><div class="notes">', *(f"<p>{html.escape(note)}</p>" for note in table.notes)]
    lines += [f"<p><sup>{letter}</sup> {html.escape(source)}</p>" for letter, source in footnotes(table)]
    lines.append("</div>")
    return "\n".join(lines) + "\n"


def _field(table: Table, head: str, cell: TableCell) -> str:
    text = html.escape(cell.title or cell.text)
    if cell.bold:
        text = f"<b>{text}</b>"
    if cell.mark:
        text += cell.mark if cell.mark == "*" else f"<sup>{cell.mark}</sup>"
    if cell.text == "missing":
        text = f'<span class="missing">{text}</span>'
    value = "" if np.isnan(cell.value) else f' data-value="{cell.value:.6g}"'
    return f"<td{_number(table, head)}{value}>{text}</td>"


def _number(table: Table, head: str) -> str:
    return "" if table.heads.index(head) < table.labels else ' class="number"'


def footnotes(table: Table) -> Iterator[tuple[str, str]]:
    """Yield the letter and the text of each source."""
    for place, source in enumerate(table.sources):
        yield chr(ord("a") + place), source


def grouped(table: Table) -> list[list[dict[str, TableCell]]]:
    """Return the rows, those of one backbone and objective together."""
    groups: dict[tuple[str, ...], list[dict[str, TableCell]]] = {}
    for row in table.rows:
        groups.setdefault(tuple(row[head].text for head in GROUPED), []).append(row)
    return list(groups.values())
