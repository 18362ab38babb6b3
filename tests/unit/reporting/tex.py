"""What TeX prints of a table's LaTeX, as far as tests need it."""

import re

PRINTED = {
    r"\uparrow": "↑",
    r"\downarrow": "↓",
    r"\pm": "±",
    "$-$": "−",
    "--": "—",
    r"\_": "_",
    r"\textasciitilde{}": "~",
    r"\textbf": "",
    "$": "",
}


def printed(code: str) -> str:
    """The letters of a field; the mark of a footnote stands behind it."""
    for command, sign in PRINTED.items():
        code = code.replace(command, sign)
    return code.replace("^", "").replace("{", "").replace("}", "").strip()


def tabulars(text: str) -> list[list[list[str]]]:
    """Every tabular as rows of printed fields, the lines of its head as one; a heading has a single field."""
    found = []
    for code in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.S):
        head, *groups = ([line for line in part.splitlines() if line] for part in code.split(r"\midrule"))
        lines = [[printed(field) for field in line.removesuffix(r" \\").split(" & ")] for line in head]
        rows = [[" ".join(filter(None, fields)) for fields in zip(*lines, strict=True)]]
        for line in (line.removesuffix(r" \\") for group in groups for line in group):
            heading = re.fullmatch(r"\\multicolumn\{\d+\}\{@\{\}l@\{\}\}\{\\textit\{(.*)\}\}", line)
            rows.append([printed(heading[1])] if heading else [printed(field) for field in line.split(" & ")])
        found.append(rows)
    return found


def cells(text: str) -> list[list[str]]:
    """The whole table of one backbone, as other formats show it: tabulars side by side, headings as a column."""
    parts = tabulars(text)
    rows = []
    for place, row in enumerate(parts[0]):
        if len(row) == 1:
            objective = row[0]
            continue
        fields = [*row, *(field for part in parts[1:] for field in part[place][1:])]
        rows.append(["objective" if not rows else "—" if row[0] == "random network" else objective, *fields])
    return rows
