"""Tables: four files that show the same numbers, worked out by hand, and what they say of mixtures and gaps."""

import csv
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cassle.contracts.summary import printed
from cassle.core.errors import CassleError
from cassle.reporting.rows.benchmark import write_jobs
from cassle.reporting.tables.latex import latex
from cassle.reporting.tables.table import write_tables
from tests.unit.reporting import tex
from tests.unit.reporting.made import FINETUNE, PROBE, RANDOM_ROW, STREAM, TITLES, all_rows, rows_of, write_study

HEAD = ["objective", "strategy", "A ↑", "F ↓", "T ↑", "n", "A − fine-tuning"]


def tables(folder, rows, stream=STREAM, **changes):
    """Write the tables of a made-up study and return their texts by ending."""
    runs, study = write_study(folder, rows, **changes)
    out = folder / "tables" / f"{PROBE}.md"
    write_tables(runs, study, stream, PROBE, out)
    assert sorted(file.name for file in out.parent.iterdir()) == [
        f"{PROBE}.{end}" for end in ("csv", "html", "md", "tex")
    ]
    return {file.suffix[1:]: file.read_text() for file in out.parent.iterdir()}


def markdown_cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [head, *body]


class HTMLCells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def html_cells(text):
    parser = HTMLCells()
    parser.feed(text)
    return parser.rows


def body(texts):
    """The fields of the Markdown table below its heads, without the stars of what is bold."""
    return [[field.replace("**", "") for field in row] for row in markdown_cells(texts["md"])[1:]]


def test_a_small_study_worked_out_by_hand(tmp_path):
    assert markdown_cells(tables(tmp_path, all_rows())["md"]) == [
        HEAD,
        ["—", "random network", "15.0", "—", "—", "1", ""],
        ["simclr", "finetune", "70.0", "30.0", "**10.0**", "1", ""],
        ["simclr", "cassle", "**78.0**", "**10.0**", "**10.0**", "1", "+8.0"],
        ["simclr", "offline", "93.0", "—", "—", "1", "+23.0"],
    ]


def test_strategies_that_are_equal_as_printed_are_bold_together(tmp_path):
    _, _, finetune, cassle, _ = markdown_cells(tables(tmp_path, all_rows(shift=-0.0798))["md"])
    assert finetune[2] == cassle[2] == "**70.0**"


def three_seeds():
    return [row for seed, shift in enumerate((-0.02, 0.0, 0.02)) for row in all_rows(seed, shift)]


def test_three_seeds_give_mean_spread_their_number_and_an_interval(tmp_path):
    # CaSSLe's A is 76, 78, 80 and its T 8, 10, 12: a deviation of 2 with n - 1. A shift leaves its F as it is.
    # It is 6, 8 and 10 above fine-tuning: 8 ± 4.303 * 2 / sqrt(3).
    assert body(tables(tmp_path, three_seeds(), seeds=[0, 1, 2])) == [
        ["—", "random network", "15.0 ± 0.0", "—", "—", "3", ""],
        ["simclr", "finetune", "70.0 ± 0.0", "30.0 ± 0.0", "10.0 ± 0.0", "3", ""],
        ["simclr", "cassle", "78.0 ± 2.0", "10.0 ± 0.0", "10.0 ± 2.0", "3", "+8.0 [+3.0, +13.0]"],
        ["simclr", "offline", "93.0 ± 0.0", "—", "—", "3", "+23.0 [+23.0, +23.0]"],
    ]


def test_a_seed_that_lacks_a_cell_is_left_out_of_the_metrics_that_need_it(tmp_path):
    rows = [
        r for r in three_seeds() if (r["strategy"], r["seed"], r["task"], r["evaluated_task"]) != ("cassle", 2, 1, 1)
    ]
    # A of 76 and 78: mean 77, deviation sqrt(2); 7 ± 12.706 * sqrt(2) / sqrt(2) above fine-tuning.
    assert body(tables(tmp_path, rows, seeds=[0, 1, 2]))[2][1:] == [
        "cassle",
        "77.0 ± 1.4",
        "10.0 ± 0.0",
        "10.0 ± 2.0",
        "2 of 3",
        "+7.0 [−5.7, +19.7]",
    ]


def test_what_did_not_run_is_called_missing_and_never_a_number(tmp_path):
    rows = rows_of(FINETUNE, "finetune")
    assert body(tables(tmp_path, rows, objectives=["simclr", "byol"], strategies=["finetune", "offline"])) == [
        ["simclr", "finetune", "70.0", "30.0", "missing", "1"],
        ["simclr", "offline", "missing", "—", "—", "0 of 1"],
        ["byol", "finetune", "missing", "missing", "missing", "0 of 1"],
        ["byol", "offline", "missing", "—", "—", "0 of 1"],
    ]


@pytest.mark.parametrize("rows", [[], all_rows(stream="digits-class5")])
def test_a_study_of_which_nothing_ran_has_tables_that_say_so(tmp_path, rows):
    assert [row[1:] for row in body(tables(tmp_path, rows))] == [
        ["finetune", "missing", "missing", "missing", "0 of 1"],
        ["cassle", "missing", "missing", "missing", "0 of 1"],
        ["offline", "missing", "—", "—", "0 of 1"],
    ]


@pytest.mark.parametrize(("backbones", "head"), [(["conv3"], HEAD), (["conv3", "resnet18"], ["backbone", *HEAD])])
def test_the_backbone_is_a_column_only_if_there_are_several(tmp_path, backbones, head):
    rows = [row for backbone in backbones for row in all_rows(backbone=backbone)]
    cells = markdown_cells(tables(tmp_path, rows, backbones=backbones)["md"])
    assert cells[0] == head
    assert len(cells) == 1 + 4 * len(backbones)
    if "backbone" in head:
        assert [row[0] for row in cells[1:]] == ["conv3"] * 4 + ["resnet18"] * 4


LABELS = [
    ("simclr", "cassle"),
    ("barlow_twins", "less_forget"),
    ("simclr~temperature=0.5~epochs=2", "cassle+er~weight=2.0"),
]


@pytest.mark.parametrize(("objective", "strategy"), LABELS)
@pytest.mark.parametrize(("ending", "read"), [("html", html_cells), ("tex", tex.cells)])
def test_every_format_shows_the_cells_of_the_markdown_table_with_titles(tmp_path, objective, strategy, ending, read):
    rows = rows_of(FINETUNE, strategy, objective=objective) + rows_of([RANDOM_ROW], "random")
    texts = tables(tmp_path, rows, objectives=[objective], strategies=[strategy])
    shown, titles = markdown_cells(texts["md"]), {**TITLES["objectives"], **TITLES["strategies"]}
    assert [objective, strategy] in [row[:2] for row in shown]
    assert read(texts[ending]) == [[printed(field, titles) for field in row] for row in shown]


@pytest.mark.parametrize(("objective", "strategy"), LABELS)
def test_latex_has_no_character_that_stops_a_compiler(tmp_path, objective, strategy):
    rows = [row for seed in (0, 1) for row in rows_of(FINETUNE, strategy, seed, objective)]
    texts = tables(tmp_path, rows, objectives=[objective], strategies=[strategy, "offline"], seeds=[0, 1])
    code = "\n".join(line for line in texts["tex"].splitlines() if not line.startswith("%"))
    assert code.isascii(), set(code) - set(map(chr, range(128)))
    plain = re.sub(r"\$[^$]*\$", "", code)
    assert "$" not in plain
    assert not re.search(r"(?<!\\)[_^#%]", plain)
    assert "uparrow" not in plain
    depth = 0
    for sign in code:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    assert r"\begin{tabular}{@{}lrrrr@{}}" in code
    rows = [line for line in code.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in rows} == {4}
    assert [line for line in code.splitlines() if "rule" in line] == [
        r"\toprule", r"\midrule", r"\bottomrule"
    ]  # fmt: skip


def test_html_escapes_names_and_title(tmp_path):
    strange = "<b>&"
    texts = tables(tmp_path, rows_of(FINETUNE, strange, objective=strange), objectives=[strange], strategies=[strange])
    assert html_cells(texts["html"])[1][:2] == [strange, strange]
    assert "<b>" not in texts["html"]
    titled = tables(tmp_path / "other", [], stream="a<b>")["html"]
    assert "<b>" not in titled
    assert f"<title>a&lt;b&gt;, probe {PROBE}</title>" in titled
    assert "<h1>a&lt;b&gt;" in titled


def test_csv_has_a_row_per_cell_and_metric_in_full_precision(tmp_path):
    matrix = [[1 / 3, 0.1 + 0.2], [1 / 7, 2 / 3]]
    rows = rows_of(matrix, "cassle") + rows_of([[0.1, 0.1]], "random")
    table = list(csv.DictReader(tables(tmp_path, rows, strategies=["cassle"])["csv"].splitlines()))
    found = {(row["strategy"], row["metric"]): float(row["mean"] or "nan") for row in table}
    assert found[("cassle", "A")] == np.mean([1 / 7, 2 / 3])
    assert found[("cassle", "F")] == 1 / 3 - 1 / 7
    assert found[("cassle", "T")] == 0.1 + 0.2 - 0.1
    assert found[("random", "A")] == 0.1
    assert np.isnan([found["random", "F"], found["random", "T"]]).all()
    assert {row["std"] for row in table} == {""}
    assert {(row["stream"], row["probe"], row["backbone"]) for row in table} == {(STREAM, PROBE, "conv3")}
    assert [row["n"] for row in table] == ["1", "0", "0", "1", "1", "1"]


def test_csv_gives_mean_spread_and_number_of_seeds_as_fractions(tmp_path):
    table = csv.DictReader(tables(tmp_path, three_seeds(), seeds=[0, 1, 2])["csv"].splitlines())
    (row,) = [row for row in table if (row["strategy"], row["metric"]) == ("cassle", "A")]
    assert float(row["mean"]) == pytest.approx(0.78, rel=1e-12)
    assert float(row["std"]) == pytest.approx(0.02, rel=1e-9)
    assert row["n"] == "3"


def test_csv_gives_differences_to_fine_tuning_with_their_sign_and_interval(tmp_path):
    table = csv.DictReader(tables(tmp_path, three_seeds(), seeds=[0, 1, 2])["csv"].splitlines())
    rows = {row["metric"]: row for row in table if row["strategy"] == "cassle"}
    found = {name: [float(row[key]) for key in ("minus_finetune", "low", "high")] for name, row in rows.items()}
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert found["A"] == pytest.approx([0.08, 0.08 - half, 0.08 + half])
    assert found["F"] == pytest.approx([-0.2, -0.2, -0.2])
    assert {row["pairs"] for row in rows.values()} == {"3"}


def notes(texts, ending="md"):
    """The notes below the table."""
    return {
        "md": lambda: [line.strip() for line in texts["md"].split("\n\n")[-1].splitlines()],
        "tex": lambda: texts["tex"].split(r"\raggedright ")[1].removesuffix("\\par}\n").split("\n\n"),
        "html": lambda: re.findall("<p>(.*?)</p>", texts["html"]),
    }[ending]()


def test_units_and_execution_are_told_below_every_table(tmp_path):
    texts = tables(tmp_path, all_rows())
    units, difference, execution = notes(texts)
    assert units.startswith("Per cent.")
    assert difference.startswith("A − fine-tuning: mean difference over seeds")
    assert execution == (
        "Run with device cpu; processes 1; precision fp32; loader device; threads 1; probe_device cpu; "
        "probe_precision fp32."
    )
    assert notes(texts, "html") == [units, difference, execution]
    assert notes(texts, "tex") == [latex(note) for note in notes(texts)]


COLUMNS = ["preset", "device", "processes", "precision", "loader", "threads", "probe_device", "probe_precision"]


@pytest.mark.parametrize("column", [*COLUMNS, "code"])
def test_a_mixture_is_marked_in_its_cell_and_named_below(tmp_path, column):
    rows = [{**row, "preset": "default"} for seed in (0, 1) for row in all_rows(seed=seed)]
    cassle = [row for row in rows if (row["strategy"], row["seed"]) == ("cassle", 1)]
    texts = tables(tmp_path, [{**row, column: "other"} if row in cassle else row for row in rows], seeds=[0, 1])
    assert [row[1] for row in body(texts)] == ["random network", "finetune", "cassle*", "offline"]
    *_, execution, mixture = notes(texts)
    assert mixture == f"* mixes or compares runs that differ in {column}."
    assert ("other" in execution) == (column != "code")
    table = csv.DictReader(texts["csv"].splitlines())
    assert {row["strategy"]: row["mixed"] for row in table} == {
        "random": "", "finetune": "", "cassle": column, "offline": ""
    }  # fmt: skip


def executed(column, value):
    """Two seeds of every strategy, of which CaSSLe was executed otherwise."""
    rows = [{**row, "preset": "default"} for seed in (0, 1) for row in all_rows(seed=seed)]
    return [{**row, column: value} if row["strategy"] == "cassle" else row for row in rows]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_comparison_of_runs_that_were_executed_differently_is_marked_and_the_column_named(tmp_path, column):
    texts = tables(tmp_path, executed(column, "other"), seeds=[0, 1])
    head, *rows = markdown_cells(texts["md"])
    difference = head.index("A − fine-tuning")
    assert [row[1] for row in rows] == ["random network", "finetune", "cassle", "offline"]
    assert [row[difference] for row in rows] == ["", "", "+8.0 [+8.0, +8.0]*", "+23.0 [+23.0, +23.0]"]
    assert [row[head.index("A ↑")] for row in rows[1:3]] == ["70.0 ± 0.0", "**78.0 ± 0.0***"]
    assert notes(texts)[-1] == f"* mixes or compares runs that differ in {column}."
    assert "<b>78.0 ± 0.0</b>*</td>" in texts["html"]
    assert r"\textbf{78.0 $\pm$ 0.0}*" in texts["tex"]
    table = {(row["strategy"], row["metric"]): row for row in csv.DictReader(texts["csv"].splitlines())}
    assert [table[name, "A"]["unlike"] for name in ("finetune", "cassle", "offline")] == ["", column, ""]


@pytest.mark.parametrize("column", ["probe_device", "probe_precision"])
def test_forward_transfer_is_marked_where_the_random_network_was_evaluated_otherwise(tmp_path, column):
    trained = dict.fromkeys(COLUMNS, "")
    rows = [{**row, **trained, column: "other"} if row["strategy"] == "random" else row for row in all_rows()]
    texts = tables(tmp_path, rows)
    head, *shown = markdown_cells(texts["md"])
    assert [row[head.index("T ↑")][-1] for row in shown] == ["—", "*", "*", "—"]
    assert not any(row[head.index(name)].replace("**", "").endswith("*") for row in shown for name in ("A ↑", "F ↓"))
    assert notes(texts)[-1] == f"* mixes or compares runs that differ in {column}."


def test_strategies_of_different_code_are_compared_without_a_mark(tmp_path):
    texts = tables(tmp_path, executed("code", "of CaSSLe"), seeds=[0, 1])
    assert "*" not in texts["md"].replace("**", "")


def test_a_difference_tells_its_pairs_where_they_are_fewer_than_the_seeds(tmp_path):
    rows = [row for row in three_seeds() if (row["strategy"], row["seed"]) != ("finetune", 2)]
    texts = tables(tmp_path, rows, seeds=[0, 1, 2])
    assert [row[5:] for row in body(texts)][1:] == [
        ["2 of 3", ""],
        ["3", "+7.0 [−5.7, +19.7] (2 pairs)"],
        ["3", "+23.0 [+23.0, +23.0] (2 pairs)"],
    ]
    pairs = {row["strategy"]: row["pairs"] for row in csv.DictReader(texts["csv"].splitlines()) if row["metric"] == "A"}
    assert pairs == {"random": "", "finetune": "", "cassle": "2", "offline": "2"}
    one = [row for row in rows if (row["strategy"], row["seed"]) != ("finetune", 1)]
    assert body(tables(tmp_path / "one", one, seeds=[0, 1, 2]))[2][-1] == "+6.0 (1 pair)"


def test_the_same_rows_give_the_same_bytes(tmp_path):
    assert tables(tmp_path / "one", three_seeds()) == tables(tmp_path / "two", three_seeds())


def test_a_bad_input_leaves_no_table(tmp_path):
    runs, study = write_study(tmp_path, all_rows())
    study.write_text("{}")
    with pytest.raises(CassleError, match=r"study\.json"):
        write_tables(runs, study, STREAM, PROBE, tmp_path / "tables" / "knn.md")
    assert not (tmp_path / "tables").exists()


def test_the_accuracy_with_the_task_known_is_a_column_only_where_it_differs(tmp_path):
    known = [{**row, "task_aware": min(row["accuracy"] + 0.05, 1.0)} for row in all_rows()]
    cells = markdown_cells(tables(tmp_path / "class", known)["md"])
    place = cells[0].index("A known task ↑")
    assert [row[place] for row in cells[1:]] == ["20.0", "75.0", "83.0", "97.5"]
    same = [{**row, "task_aware": row["accuracy"]} for row in all_rows()]
    assert "A known task ↑" not in markdown_cells(tables(tmp_path / "domain", same)["md"])[0]


@pytest.mark.parametrize(
    ("seconds", "flops", "heads", "shown"),
    [
        (7200.0, 2e17, ["training (h)", "training (PFLOP)"], ["4.0", "400.0"]),
        (90.0, 6e17, ["training (min)", "training (EFLOP)"], ["3.0", "1.2"]),
        (2.5, 2e4, ["training (s)", "training (MFLOP)"], ["5.0", "0.0"]),
        (2.5, None, ["training (s)"], ["5.0"]),
    ],
)
def test_hours_and_operations_of_training_are_told_in_units_that_fit(tmp_path, seconds, flops, heads, shown):
    runs, study = write_study(tmp_path, all_rows())
    place = {"job": "train", "stream": STREAM, "backbone": "conv3", "objective": "simclr", "seed": 0, "attempts": 1}
    write_jobs(
        tmp_path / "benchmark.csv",
        [
            {**place, "strategy": strategy, "task": task, "seconds": seconds, "flops": flops}
            for strategy, task in (("first", 0), ("cassle", 1))
        ],
    )
    write_tables(runs, study, STREAM, PROBE, tmp_path / "table.md", tmp_path / "benchmark.csv")
    cells = markdown_cells((tmp_path / "table.md").read_text())
    assert [head for head in cells[0] if head.startswith("training")] == heads
    for head, value in zip(heads, shown, strict=True):
        assert [row[cells[0].index(head)] for row in cells[1:]] == ["", "", value, ""]
    table = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    for metric, value in (("hours", seconds / 3600), ("flops", flops)):
        found = [(row["strategy"], float(row["mean"])) for row in table if row["metric"] == metric]
        assert found == ([] if value is None else [("cassle", pytest.approx(2 * value))])


def test_hours_and_operations_are_those_of_finished_runs_in_every_format(tmp_path):
    # Three tasks of an hour each; of seed 1 the last one is still to come, and of seed 2, whose tasks took longer, its
    # evaluation. Three hours are shown, neither 2.5 nor 3.5.
    matrix, every = [[0.5] * 3] * 3, [("first", 0), ("finetune", 1), ("finetune", 2)]
    rows = rows_of(matrix, "finetune", 0) + [row for s in (1, 2) for row in rows_of(matrix[:2], "finetune", s, tasks=3)]
    runs, study = write_study(tmp_path, rows, strategies=["finetune"], seeds=[0, 1, 2])
    place = {"job": "train", "stream": STREAM, "backbone": "conv3", "objective": "simclr", "attempts": 1}
    jobs = [
        {**place, "seconds": hours * 3600.0, "flops": hours * 1e15, "seed": seed, "strategy": name, "task": task}
        for seed, hours, done in ((0, 1, every), (1, 1, every[:2]), (2, 4 / 3, every))
        for name, task in done
    ]
    write_jobs(tmp_path / "benchmark.csv", jobs)
    write_tables(runs, study, STREAM, PROBE, tmp_path / "table.md", tmp_path / "benchmark.csv")
    head, row = markdown_cells((tmp_path / "table.md").read_text())
    shown = dict(zip(head, row, strict=True))
    assert [shown[name] for name in ("n", "training (h)", "training (PFLOP)")] == ["1 of 3", "3.0", "3.0"]
    table = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    reported = {row["metric"]: (row["mean"], row["n"]) for row in table}
    assert (reported["hours"], reported["flops"]) == (("3.0", "1"), ("3000000000000000.0", "1"))
