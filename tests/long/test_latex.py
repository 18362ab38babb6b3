"""LaTeX of the paper's studies, compiled."""

import re
import shutil
import subprocess

import pytest

from cassle.reporting.tables.latex import latex_text
from tests.unit.reporting.filled import STUDIES, filled_tables

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.parametrize("name", STUDIES)
def test_tables_of_a_study_compile_in_an_article_without_an_overfull_box(name, tmp_path):
    assert shutil.which("pdflatex"), "there is no pdflatex: apt-get install texlive-latex-recommended"
    pages = []
    for place, table in enumerate(filled_tables(name)):
        (tmp_path / f"{place}.tex").write_text(latex_text(table))
        pages.append(rf"Some text before it. \input{{{place}.tex}} Some text behind it.\clearpage")
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n".join(pages))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert not re.findall(r"(?:Overfull|Missing character|Warning).*", done.stdout)
    assert "Output written on all.pdf" in done.stdout
