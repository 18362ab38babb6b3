"""The files of a plan: targets of the workflow, and logs of every job."""

import pytest

from cassle.core.errors import SettingsError
from cassle.plan.plan import combined
from cassle.plan.targets import features, figures, jobs, other_jobs, pages, results, tables
from tests.unit.plan.world import plan

BASE = "results/digits-domain2/conv3/simclr"


def small(name="small", **changes):
    return plan(**{"name": name, "streams": ["digits-domain2"], "strategies": ["er"], "probes": ["knn"], **changes})


def test_every_checkpoint_memory_record_and_evaluation_is_a_target():
    folders = [f"{BASE}/first/seed0/task0", f"{BASE}/er/seed0/task1"]
    evaluated = ["results/digits-domain2/conv3/random/seed0", *folders]
    assert results(small()) == [
        *(f"{folder}/checkpoint.pt" for folder in folders),
        f"{BASE}/er/seed0/task0/memory.pt",
        *(f"{folder}/train.json" for folder in folders),
        *(f"{folder}/probes/digits-domain2/knn.json" for folder in evaluated),
    ]


def test_other_jobs_have_their_logs_beside_them():
    study, folders = "results/studies/small", [f"{BASE}/first/seed0/task0", f"{BASE}/er/seed0/task1"]
    assert other_jobs(small(figures=["bars"], features=["cka"])) == {
        "results/data/digits/index.npz": "results/data/digits/prepare.log",
        "results/digits-domain2/split.npz": "results/digits-domain2/split.log",
        f"{BASE}/er/seed0/task0/memory.pt": f"{BASE}/er/seed0/task0/build_memory.log",
        "results/runs.csv": "results/runs.log",
        **{f"{place}/features/digits-domain2.npz": f"{place}/features/digits-domain2.log" for place in folders},
        f"{study}/study.json": f"{study}/study.log",
        f"{study}/tables/digits-domain2/knn.md": f"{study}/tables/digits-domain2/knn.log",
        f"{study}/figures/digits-domain2/knn/bars.pdf": f"{study}/figures/digits-domain2/knn/bars.log",
        f"{study}/features/digits-domain2/cka.pdf": f"{study}/features/digits-domain2/cka.log",
        f"{study}/timeline.pdf": f"{study}/timeline.log",
        f"{study}/report.html": f"{study}/report.log",
    }


def test_studies_done_together_each_have_tables_figures_and_a_page():
    one, two = small("one", figures=["bars"], features=["cka"]), small("two", probes=["online"], figures=[])
    both = combined(one.study, [one, two])
    places = ["results/studies/one", "results/studies/two"]
    assert pages(both) == [f"{place}/report.html" for place in places]
    assert figures(both) == [
        f"{places[0]}/figures/digits-domain2/knn/bars.pdf",
        f"{places[0]}/features/digits-domain2/cka.pdf",
        f"{places[0]}/timeline.pdf",
        f"{places[1]}/timeline.pdf",
    ]
    assert {file.rpartition(".")[0] for file in tables(both)} == {
        f"{places[0]}/tables/digits-domain2/knn",
        f"{places[1]}/tables/digits-domain2/online",
    }
    assert {file.rpartition(".")[2] for file in tables(both)} == {"md", "csv", "tex", "html"}
    assert both.part("two") is two


def test_jobs_are_named_by_what_they_make_and_those_that_studies_share_stand_once():
    one, two = small("one", figures=["bars"], features=["cka"]), small("two", features=["pca"])
    found = jobs(combined(one.study, [one, two]))
    folders = [f"{BASE}/first/seed0/task0", f"{BASE}/er/seed0/task1"]
    evaluated = ["results/digits-domain2/conv3/random/seed0", *folders]
    shown = {rule: files for rule, files in found.items() if rule.startswith("draw_")}
    assert {rule: files for rule, files in found.items() if rule not in shown} == {
        "prepare_data": ["results/data/digits/index.npz"],
        "split_stream": ["results/digits-domain2/split.npz"],
        "train_task": folders,
        "build_memory": [f"{BASE}/er/seed0/task0/memory.pt"],
        "probe_checkpoint": [f"{folder}/probes/digits-domain2/knn.json" for folder in evaluated[1:]],
        "probe_random_network": [f"{evaluated[0]}/probes/digits-domain2/knn.json"],
        "extract_features": [f"{folder}/features/digits-domain2.npz" for folder in folders],
        "collect_runs": ["results/runs.csv"],
        "describe_study": ["results/studies/one/study.json", "results/studies/two/study.json"],
        "make_table": [f"results/studies/{name}/tables/digits-domain2/knn.md" for name in ("one", "two")],
        "write_page": ["results/studies/one/report.html", "results/studies/two/report.html"],
    }
    assert shown["draw_figure"] == [
        file for part in (one, two) for file in figures(part) if file.startswith(f"{part.folder}/figures/")
    ]
    assert shown["draw_features"] == [
        "results/studies/one/features/digits-domain2/cka.pdf",
        "results/studies/two/features/digits-domain2/pca.pdf",
    ]


def test_what_no_study_here_has_is_refused_in_terms_of_the_file():
    made = small()
    assert made.part("small") is made
    assert made.stream_of_index("digits") == made.stream("digits-domain2")
    file = f"{BASE}/er/seed0/task1/probes/digits-domain2/online.json"
    for ask, path in (
        (lambda: made.part("other"), "results/studies/other"),
        (lambda: made.stream("digits-class5"), "results/digits-class5/split.npz"),
        (lambda: made.stream_of_index("cifar100"), "results/data/cifar100/index.npz"),
        (lambda: made.planned(made.probe, file, file), file),
    ):
        with pytest.raises(SettingsError, match=f"^{path} is not part of the study 'small'$"):
            ask()


def test_features_are_those_of_one_stream_and_the_first_seed():
    made = small(streams=["digits-domain2", "digits-class2"], seeds=[12, 1], strategies=["finetune"])
    folders = [f"{BASE}/first/seed1/task0", f"{BASE}/finetune/seed1/task1"]
    assert features(made, "digits-domain2") == [f"{folder}/features/digits-domain2.npz" for folder in folders]
