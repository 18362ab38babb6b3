r"""A table as LaTeX: as many ``tabular`` below each other as a page of ``article`` is wide for, and notes.

Nothing but booktabs is needed. How wide a column becomes is estimated from its letters, as TeX cannot be asked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import groupby
from textwrap import wrap

from cassle.reporting.tables.formats import GROUPED, UNDEFINED, Table, TableCell, footnotes, grouped

STRATEGY = "strategy"
"""Head of the column of names; the others of names stand in lines of their own above the rows they are of."""
SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "—": "--",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "_%&#$"},
    **{sign: f"${sign}$" for sign in "<>|"},
}
ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0308": '"',
    "\u030a": "r",
    "\u030c": "v",
    "\u0327": "c",
}
"""Combining sign -> command of LaTeX that sets it."""
PAGE = 345.0
"""Width of the text in ``article``, in points."""
GAP = 4.0
"""Points on each side of a column."""
NAME, HEADING = 36, 60
"""Letters of a line of a strategy's name and of an objective's."""
WIDTHS = {
    **dict.fromkeys("!',.:;[]`il|", 2.4),
    **dict.fromkeys(" -()I_fjrst", 3.4),
    **dict.fromkeys("0123456789*/aceoz†↑↓", 4.3),
    **dict.fromkeys("bdghknpquvxyS—", 4.8),
    **dict.fromkeys("MW", 8.9),
}
"""Letter -> points in Computer Modern of 8 points (``\\footnotesize``), rounded up; any other has `OTHER` at most."""
OTHER, BOLD = 7.1, 1.16


def latex_text(table: Table) -> str:
    r"""Return text to ``\input`` in a document with booktabs: a tabular or several, and their notes below."""
    lines = [
        f"% {table.title}",
        r"% needs \usepackage{booktabs}",
        rf"{{\par\footnotesize\setlength{{\tabcolsep}}{{{GAP:g}pt}}\setlength{{\parindent}}{{0pt}}",
    ]
    for place, heads in enumerate(parts_of(table)):
        lines += [r"\par\medskip"] * (place > 0) + _tabular(table, heads)
    notes = [latex(note) for note in table.notes]
    notes += [f"$^{{{letter}}}$ {latex(source)}" for letter, source in footnotes(table)]
    small = "\n\n".join(notes)
    lines.append(rf"\par\smallskip\raggedright {small}\par}}")
    return "\n".join(lines) + "\n"


def parts_of(table: Table) -> list[list[str]]:
    """Return the heads of each tabular: the strategy, and as many columns of numbers, in order, as fit beside it."""
    parts: list[list[str]] = []
    left = 0.0
    for _, unit in groupby(table.heads[table.labels :], key=_subject):
        heads = list(unit)
        wide = sum(_width(table, head) for head in heads)
        if wide > left:
            parts.append([STRATEGY])
            left = PAGE - _width(table, STRATEGY)
        parts[-1] += heads
        left -= wide
    return parts


def _subject(head: str) -> str:
    """Return what neighbors with it in common stand in one tabular for: a published number and ours minus it."""
    return head.partition(" (")[0].replace("published", "").strip(" −")


def _width(table: Table, head: str) -> float:
    """Return how wide a column becomes at most, in points."""
    fields = [(row[head], line + row[head].mark) for row in table.rows for line in _lines(head, row[head])]
    lines = [*((line, False) for line in _head(head)), *((line, cell.bold) for cell, line in fields)]
    return 2 * GAP + max(_points(*line) for line in lines)


def _points(text: str, bold: bool) -> float:
    return sum(WIDTHS.get(letter, OTHER) * (BOLD if bold and letter.isascii() else 1) for letter in text)


def _lines(head: str, cell: TableCell) -> list[str]:
    """Return a field as it is printed: one line, or several of a long name."""
    text = cell.title or cell.text
    return wrap(text, NAME) if head == STRATEGY else [text]


def _head(head: str) -> tuple[str, str]:
    """Return a head in two lines, a short one in the second of them."""
    spaces = [place for place, letter in enumerate(head) if letter == " " and len(head) > len("A ↑")]
    middle = min(spaces, key=lambda place: abs(2 * place - len(head)), default=0)
    return head[:middle], head[middle:].strip()


def _tabular(table: Table, heads: list[str]) -> list[str]:
    """Return the lines of one tabular of some columns, all rows of it."""
    lines = [rf"\begin{{tabular}}{{@{{}}l{'r' * (len(heads) - 1)}@{{}}}}", r"\toprule"]
    lines += [_row(map(latex, line)) for line in zip(*map(_head, heads), strict=True) if any(line)]
    for group in grouped(table):
        lines.append(r"\midrule")
        for line in wrap(_heading(table, group[0]), HEADING):
            lines.append(rf"\multicolumn{{{len(heads)}}}{{@{{}}l@{{}}}}{{\textit{{{latex(line)}}}}} \\")
        for row in group:
            lines.append(_row(_field(head, row[head]) for head in heads))
            lines += [_row([latex(line), *[""] * (len(heads) - 1)]) for line in _lines(STRATEGY, row[STRATEGY])[1:]]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _row(fields: Iterable[str]) -> str:
    return " & ".join(fields) + r" \\"


def _heading(table: Table, row: dict[str, TableCell]) -> str:
    """Return what the rows between two rules are of; nothing for the random network, which has no objective."""
    names = [row[head].title or row[head].text for head in reversed(GROUPED) if head in table.heads]
    return ", ".join(name for name in names if name != UNDEFINED)


def _field(head: str, cell: TableCell) -> str:
    code = latex(_lines(head, cell)[0])
    if cell.bold:
        code = rf"\textbf{{{code}}}"
    return code + (cell.mark if cell.mark == "*" else f"$^{{{cell.mark}}}$" if cell.mark else "")


def latex(text: str) -> str:
    """Return text with every sign replaced that means something to LaTeX or that its usual fonts lack.

    >>> latex("a_b < é 中")
    "a\\\\_b $<$ \\\\'{e} U+4E2D"
    """
    return "".join(map(_sign, text))


def _sign(sign: str) -> str:
    if sign in SIGNS or sign.isascii():
        return SIGNS.get(sign, sign)
    letters = unicodedata.normalize("NFD", sign)
    if letters[0].isascii() and letters[1:] in ACCENTS:
        return f"\\{ACCENTS[letters[1:]]}{{{letters[0]}}}"
    plain = unicodedata.normalize("NFKD", sign)
    return latex(plain) if plain.isascii() else f"U+{ord(sign):04X}"
