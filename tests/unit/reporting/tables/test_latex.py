"""LaTeX of tables: no sign that stops a compiler, and no tabular that is wider than a page."""

import re
from dataclasses import replace

import matplotlib
import pytest
from matplotlib.ft2font import FT2Font, LoadFlags

from cassle.reporting.tables.formats import Table, TableCell
from cassle.reporting.tables.latex import GAP, OTHER, WIDTHS, latex, latex_text, parts_of
from tests.unit.reporting.filled import STUDIES, filled_tables
from tests.unit.reporting.tex import tabulars

TEXT_WIDTH = 345
"""Points of a line in ``article``."""
EIGHT_POINTS = 1.0625
"""Computer Modern of 8 points is wider by this than that of 10 points made smaller."""


@pytest.fixture(scope="module")
def font():
    """The real letters of Computer Modern, as matplotlib has them."""
    font = FT2Font(f"{matplotlib.get_data_path()}/fonts/ttf/cmr10.ttf")
    font.set_size(8, 72)
    return font


def points(font, text):
    glyphs = (font.load_char(ord(letter), flags=LoadFlags.NO_HINTING) for letter in text)
    return EIGHT_POINTS * sum(glyph.linearHoriAdvance for glyph in glyphs) / 2**16


def test_no_letter_is_wider_than_it_is_taken_for(font):
    letters = {chr(code) for code in range(32, 127)} - set("|<>_\\^{}~")
    wider = {letter for letter in letters if points(font, letter) > WIDTHS.get(letter, OTHER) + 0.02}
    assert not wider


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_paper_fits_a_page_with_three_seeds_cost_and_published_numbers(name, font):
    for table in filled_tables(name):
        assert {"A − fine-tuning", "training (h)", "training (PFLOP)"} <= set(table.heads)
        assert all(row["training (h)"].text for row in table.rows if row["objective"].text != "—")
        parts = tabulars(latex_text(table))
        assert [part[0] for part in parts] == parts_of(table)
        assert [head for part in parts for head in part[0][1:]] == table.heads[table.labels :]
        assert len(parts) <= 3
        labels = [[row[0] for row in part] for part in parts]
        assert all(own == labels[0] for own in labels)
        assert len(labels[0]) <= 45  # rows of 9.5 points, on a page of 550
        for part in parts:
            rows = [[re.sub("[^ -~]", "n", field) for field in row] for row in part[1:] if len(row) > 1]
            columns = [max(points(font, field) for field in column) for column in zip(*rows, strict=True)]
            assert sum(columns) + 2 * GAP * (len(columns) - 1) <= TEXT_WIDTH
            assert max(len(row[0]) for row in part if len(row) > 1) <= 36


def table_of_names(objective, strategy, count=2):
    """A table of one row with some columns of numbers."""
    heads = ["objective", "strategy", *(f"number {place}" for place in range(count))]
    names = {
        "backbone": TableCell("conv3"),
        "objective": TableCell("x", title=objective),
        "strategy": TableCell("y", title=strategy),
    }
    row = dict.fromkeys(heads, TableCell("12.3 ± 4.5")) | names
    return Table("title", heads, [row], 2, [])


def test_long_names_are_broken_into_lines_and_numbers_stand_beside_the_first():
    objective = "SimCLR (batch_size=128, epochs=5, optimizer=adamw, lr=0.001, warmup_epochs=1)"
    strategy = "CaSSLe (distillation=contrastive, hidden_dim=512, temperature=0.25)"
    ((head, *rows),) = tabulars(latex_text(table_of_names(objective, strategy)))
    assert head == ["strategy", "number 0", "number 1"]
    assert rows == [
        ["SimCLR (batch_size=128, epochs=5, optimizer=adamw, lr=0.001,"],
        ["warmup_epochs=1)"],
        ["CaSSLe (distillation=contrastive,", "12.3 ± 4.5", "12.3 ± 4.5"],
        ["hidden_dim=512, temperature=0.25)", "", ""],
    ]


def test_a_table_too_wide_for_a_page_goes_on_below_with_the_same_names():
    table = table_of_names("SimCLR", "CaSSLe", 12)
    parts = tabulars(latex_text(table))
    assert len(parts) > 1
    assert [head for part in parts for head in part[0][1:]] == table.heads[2:]
    assert {tuple(row[0] for row in part) for part in parts} == {("strategy", "SimCLR", "CaSSLe")}


def test_a_published_number_and_the_difference_to_it_stay_together():
    table = table_of_names("SimCLR", "CaSSLe", 5)
    heads = [*table.heads, "published A", "A − published"]
    row = {**table.rows[0], "published A": TableCell("50.0", mark="a"), "A − published": TableCell("+1.0")}
    *_, last = parts_of(replace(table, heads=heads, rows=[row], sources=["a paper"]))
    assert last == ["strategy", "published A", "A − published"]


def test_a_source_has_the_letter_of_the_numbers_that_it_is_the_source_of():
    table = table_of_names("SimCLR", "CaSSLe")
    row = {**table.rows[0], "number 0": TableCell("50.0", mark="a"), "number 1": TableCell("60.0", mark="b")}
    text = latex_text(replace(table, rows=[row], sources=["one paper", "another"]))
    assert ("50.0$^{a}$" in text, "60.0$^{b}$" in text) == (True, True)
    assert ("$^{a}$ one paper" in text, "$^{b}$ another" in text) == (True, True)


def test_several_backbones_stand_in_the_headings():
    table = table_of_names("SimCLR", "CaSSLe")
    rows = [{**table.rows[0], "backbone": TableCell(name)} for name in ("conv3", "resnet18")]
    (part,) = tabulars(latex_text(replace(table, heads=["backbone", *table.heads], rows=rows, labels=3)))
    assert [row for row in part if len(row) == 1] == [["SimCLR, conv3"], ["SimCLR, resnet18"]]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a_b & 5 % #1 $", r"a\_b \& 5 \% \#1 \$"),
        ("x < y > z | ~ ^", r"x $<$ y $>$ z $|$ \textasciitilde{} \textasciicircum{}"),
        (r"\{}", r"\textbackslash{}\{\}"),
        ("é ü ñ ç Å", r"\'{e} \"{u} \~{n} \c{c} \r{A}"),
        ("… ﬁ ½ 中 α", "... fi U+00BD U+4E2D U+03B1"),
        ("± − × ↑ —", r"$\pm$ $-$ $\times$ $\uparrow$ --"),
    ],
)
def test_signs_that_latex_would_read_or_lacks_are_replaced(text, code):
    assert latex(text) == code
    assert code.isascii()
