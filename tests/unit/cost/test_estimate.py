"""Jobs of a plan, what is done, and the chain that decides how long it takes."""

import json

import pytest

from cassle.contracts.layout import index_file
from cassle.contracts.records import write_record
from cassle.contracts.specs import Component
from cassle.core.errors import SettingsError
from cassle.cost.estimate import counts, critical_path, jobs_by_rule, jobs_of
from cassle.cost.rate import benched_rate, measured_rate
from cassle.cost.sizes import PUBLISHED, task_sizes
from cassle.cost.text import cost_of, describe, short
from cassle.data.base import datasets, write_index
from cassle.data.streams import Stream
from cassle.monitor.status import duration
from cassle.plan import resolve
from cassle.plan.request import Request, plan_study
from cassle.settings.reading import read_study
from cassle.training.build import build_model
from cassle.training.flops import forward_flops, step_cost
from tests.unit.plan.world import evaluated, finished
from tests.workflow.test_plans import JOBS_OF_THE_DEFAULT_STUDY

TINY = {
    "streams": ["digits-domain2"],
    "backbones": ["conv3-narrow"],
    "objectives": ["simclr"],
    "strategies": ["finetune", "cassle"],
    "probes": ["knn"],
    "training": {"epochs": 2, "batch_size": 512},
}


@pytest.fixture
def plan():
    return resolve(read_study(TINY))


def finish(plan, folder, root, seconds=10.0):
    finished(root, plan.train[folder], seconds=seconds)


def test_jobs_are_those_that_snakemake_plans(tmp_path):
    default = plan_study(Request({}, []))
    found = counts(jobs_of(default, tmp_path))
    assert {rule: number for rule, (number, _) in found.items()} == JOBS_OF_THE_DEFAULT_STUDY
    assert jobs_by_rule(default) == JOBS_OF_THE_DEFAULT_STUDY


def test_features_are_planned_once_per_checkpoint_and_cost_a_pass_over_the_test_images(tmp_path):
    made = plan_study(Request({"features": ["pca", "cka"], "seeds": [3, 4]}, []))
    jobs = jobs_of(made, tmp_path)
    found = {rule: number for rule, (number, _) in counts(jobs).items()}
    assert (found["extract_features"], found["draw_features"]) == (20, 2)
    one = next(job for job in jobs if job.rule == "extract_features")
    assert one.flops == 5 * 359 * forward_flops(Component(name="conv3", settings={}), 16)
    assert made.train.keys() > {job.after for job in jobs if job.rule == "extract_features"}


def test_a_training_has_the_images_of_whole_batches_in_all_epochs(plan, tmp_path):
    trained = [job for job in jobs_of(plan, tmp_path) if job.rule.startswith("train")]
    assert [(job.epochs, job.images) for job in trained] == [(2, 2 * 2 * 512)] * 3


def test_the_critical_path_is_the_costliest_chain_that_is_left(plan, tmp_path):
    chain = critical_path(jobs_of(plan, tmp_path))
    assert [job.rule for job in chain] == ["train_task", "train_task", "probe_checkpoint"]
    assert "/cassle/" in chain[1].name
    first, tuned, distilled = plan.train
    for folder in (first, distilled):
        finish(plan, folder, tmp_path)
    left = critical_path(jobs_of(plan, tmp_path))
    assert [job.name for job in left][:1] == [tuned]
    finish(plan, tuned, tmp_path)
    assert [job.rule for job in critical_path(jobs_of(plan, tmp_path))] == ["probe_checkpoint"]


@pytest.mark.parametrize(
    ("probe", "images"),
    [
        ("knn", 2 * 1797),
        ({"name": "linear", "epochs": 3}, 2 * (1797 + 3 * 1438)),
        ({"name": "semi_10", "classifier": {"name": "linear", "epochs": 3}}, 2 * (1797 + 0.1 * 3 * 1438)),
        (
            {"name": "transfer", "to": "digits-domain1", "classifier": {"name": "linear", "epochs": 3}},
            3 * 1797 + 3 * 1438,
        ),
    ],
)
def test_a_probe_costs_its_passes_over_the_images_it_looks_at(tmp_path, probe, images):
    plan = resolve(read_study({**TINY, "probes": [probe]}))
    found = [job for job in jobs_of(plan, tmp_path) if job.rule == "probe_checkpoint"]
    backbone = next(iter(plan.train.values())).spec.backbone
    assert [job.flops for job in found] == [pytest.approx(images * forward_flops(backbone, 16))] * 3


def with_memory(strategy, root, **changes):
    """The plan of two boundaries with a strategy, and its jobs that remember."""
    study = {**TINY, "streams": ["digits-domain3"], "strategies": [strategy], **changes}
    plan = resolve(read_study(study))
    return plan, [job for job in jobs_of(plan, root) if job.rule == "build_memory"]


def test_remembering_with_ewc_costs_its_steps_with_gradients_and_two_numbers_per_weight(tmp_path):
    plan, jobs = with_memory("ewc", tmp_path)
    spec = next(iter(plan.train.values())).spec
    model = build_model(spec, 16, 10)
    weights = sum(p.numel() for part in (model.backbone, model.objective.projector) for p in part.parameters())
    assert [job.flops for job in jobs] == [
        1024 * step_cost(spec.model_copy(update={"strategy": None}), 16, 10).flops
    ] * 2
    assert [job.bytes for job in jobs] == [8 * weights] * 2
    few = with_memory({"name": "ewc", "fisher_batches": 3, "fisher_batch_size": 64}, tmp_path)[1]
    assert few[0].flops == pytest.approx(3 * 64 / 1024 * jobs[0].flops, rel=0.02)  # SimCLR's pairs go with the batch


def test_remembering_with_der_costs_its_outputs_and_joined_strategies_cost_all_of_theirs(tmp_path):
    forward = forward_flops(Component(name="conv3-narrow", settings={}), 16)
    der = with_memory({"name": "der", "buffer_size": 100}, tmp_path)[1][0]
    assert (der.flops, der.bytes) == (100 * forward, 100 * (24 + 4 * 32))
    all_of_it = with_memory({"name": "der", "buffer_size": 2000}, tmp_path)[1][0]
    assert all_of_it.flops == 1438 * forward
    er = with_memory({"name": "er", "buffer_size": 100}, tmp_path)[1][0]
    assert (er.flops, er.bytes) == (0, 100 * 24)
    both = with_memory({"name": "cassle+der", "der": {"buffer_size": 100}}, tmp_path)[1][0]
    assert (both.flops, both.bytes) == (der.flops, der.bytes)


def test_the_critical_path_leads_through_what_is_remembered(tmp_path):
    plan, _ = with_memory("ewc", tmp_path)
    chain = [job.rule for job in critical_path(jobs_of(plan, tmp_path))]
    later = ["build_memory", "train_task"]
    assert chain == ["train_task", *later, *later, "probe_checkpoint"]
    text = describe(plan, None, tmp_path)
    assert "memories       2 tasks" in text
    assert "of checkpoints and memories" in text


def test_a_given_first_task_costs_no_training(plan, tmp_path):
    (tmp_path / "first.pt").write_bytes(b"weights")
    given = resolve(read_study({**TINY, "first_checkpoint": str(tmp_path / "first.pt")}))
    costs = [[job for job in jobs_of(made, tmp_path) if job.rule == "train_task"][:1] for made in (plan, given)]
    assert [(job.epochs, job.images, job.flops) for job in costs[1]] == [(0, 0, 0.0)]
    assert [job.bytes for job in costs[1]] == [job.bytes for job in costs[0]]


def test_the_speed_of_a_measured_step_is_read(tmp_path):
    file = tmp_path / "step.json"
    rows = [{"name": "its views", "TFLOP/s": None}, {"name": "step", "TFLOP/s": 1.5}]
    file.write_text(json.dumps({"bench": "step", "rows": rows}))
    assert benched_rate(file) == 1.5e12


@pytest.mark.parametrize(
    "text", [None, "{", "[]", '{"bench": "step"}', '{"bench": "views", "rows": [{"name": "step", "TFLOP/s": 1.0}]}']
)
def test_a_file_without_a_measured_step_is_named_with_the_command_that_writes_one(text, tmp_path):
    file = tmp_path / "step.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=r"step.json holds no measured step; `cassle bench step --out .*step.json`"):
        benched_rate(file)


def test_what_is_done_is_counted_and_its_speed_measured(plan, tmp_path):
    assert measured_rate(plan, tmp_path) is None
    first = next(iter(plan.train))
    finish(plan, first, tmp_path, seconds=4.0)
    jobs = jobs_of(plan, tmp_path)
    assert counts(jobs)["train_task"] == (3, 1)
    cost = next(job.flops for job in jobs if job.name == first)
    assert measured_rate(plan, tmp_path) == pytest.approx(cost / 4)


def test_a_first_task_that_was_given_tells_nothing_of_the_speed(tmp_path):
    (tmp_path / "first.pt").write_bytes(b"weights")
    given = resolve(read_study({**TINY, "first_checkpoint": str(tmp_path / "first.pt")}))
    first, second, _ = given.train
    finish(given, first, tmp_path, seconds=0.0)
    assert measured_rate(given, tmp_path) is None
    finish(given, second, tmp_path, seconds=4.0)
    cost = next(job.flops for job in jobs_of(given, tmp_path) if job.name == second)
    assert measured_rate(given, tmp_path) == pytest.approx(cost / 4)


def test_a_memory_is_done_once_it_lies_there(tmp_path):
    plan, (first, _) = with_memory("ewc", tmp_path)
    assert counts(jobs_of(plan, tmp_path))["build_memory"] == (2, 0)
    (tmp_path / first.name).parent.mkdir(parents=True)
    (tmp_path / first.name).touch()
    assert counts(jobs_of(plan, tmp_path))["build_memory"] == (2, 1)


def test_what_is_done_is_neither_computed_nor_written_again(plan, tmp_path):
    first = next(iter(plan.train))
    finish(plan, first, tmp_path)
    jobs = jobs_of(plan, tmp_path)
    left = [job for job in jobs if job.name != first]
    lines = describe(plan, 1e6, tmp_path).splitlines()
    flops, held, rest = sum(job.flops for job in left), *(sum(job.bytes for job in some) for some in (jobs, left))
    assert f"GPU time       {duration(flops / 1e6)} to come, at 1 MFLOP/s" in lines
    assert f"disk           {short(held, 'B')} of checkpoints, {short(rest, 'B')} of them to come" in lines
    assert flops < 0.8 * sum(job.flops for job in jobs)
    assert rest < 0.8 * held


def test_a_finished_task_of_other_settings_is_not_done(plan, tmp_path):
    other = resolve(read_study({**TINY, "training": {"epochs": 2, "batch_size": 512, "classifier_lr": 0.5}}))
    folder = next(iter(plan.train))
    finished(tmp_path, plan.train[folder], spec=next(iter(other.train.values())).spec)
    assert counts(jobs_of(plan, tmp_path))["train_task"] == (3, 0)


@pytest.mark.parametrize(
    ("changes", "done"),
    [({}, 1), ({"checkpoint": "old"}, 0), ({"probes": ["online"]}, 0)],
    ids=["of-this-checkpoint", "of-an-older-one", "by-other-probes"],
)
def test_an_evaluation_is_done_if_it_is_of_the_checkpoint_that_exists(plan, tmp_path, changes, done):
    job = next(job for job in plan.probe.values() if job.at is not None)
    other = resolve(read_study({**TINY, "probes": changes.pop("probes", ["knn"])}))
    made = next(one for one in other.probe.values() if one.at == job.at)
    record = evaluated(tmp_path, made, **changes)
    write_record(tmp_path / job.file, record)
    assert counts(jobs_of(plan, tmp_path))["probe_checkpoint"] == (3, 0)  # its training is to be done
    finished(tmp_path, plan.train[str(job.at)])
    assert counts(jobs_of(plan, tmp_path))["probe_checkpoint"] == (3, done)


def test_an_evaluation_of_the_random_network_is_done_if_its_settings_are_those_of_the_plan(plan, tmp_path):
    (untrained,) = [job for job in plan.probe.values() if job.at is None]
    other = untrained.spec.model_copy(update={"seed": 5})
    for spec, done in ((other, 0), (untrained.spec, 1)):
        evaluated(tmp_path, untrained, spec=spec)
        assert counts(jobs_of(plan, tmp_path))["probe_random_network"] == (1, done)


@pytest.mark.parametrize("scenario", ["class5", "data7", "domain2", "all"])
def test_published_sizes_agree_with_an_index_but_for_uneven_classes(scenario, tmp_path):
    stream = Stream.parse(f"digits-{scenario}")
    published, published_test = task_sizes(stream, tmp_path)
    index = datasets.get("digits")().index(None)
    (tmp_path / index_file("digits")).parent.mkdir(parents=True)
    write_index(tmp_path / index_file("digits"), index)
    counted, counted_test = task_sizes(stream, tmp_path)
    assert sum(counted) == sum(published)
    assert counted_test == published_test
    assert all(abs(a - b) <= (0.03 * a if scenario == "class5" else 0) for a, b in zip(counted, published, strict=True))


def test_domainnet_has_its_published_number_of_images():
    assert sum(train + test for train, test in PUBLISHED["domainnet"].values()) == 586_575


def test_a_dataset_that_nobody_has_counted_is_named(tmp_path):
    stream = Stream(dataset="folder", scenario="data", tasks=2)
    with pytest.raises(SettingsError, match="how many images folder has is known once it is prepared"):
        task_sizes(stream, tmp_path)


def test_the_text_tells_numbers_costs_and_the_longest_chain(plan, tmp_path):
    text = describe(plan, None, tmp_path)
    assert "train_task                   3       0" in text
    assert "GPU time       unknown until a training of this plan has finished here" in text
    assert "critical path  3 jobs" in text
    assert "3 tasks, 6 epochs, 6.14 k images" in text
    assert "GPU time       0 s to come" not in describe(plan, 1e6, tmp_path)


@pytest.mark.parametrize(
    ("value", "text"), [(999.4, "999 B"), (999.6, "1 kB"), (1.158e10, "11.6 GB"), (3e30, "3e+09 ZB")]
)
def test_numbers_are_short(value, text):
    assert short(value, "B") == text


def test_words_beside_a_file_change_its_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(json.dumps({"name": "mine", **TINY}))
    assert cost_of(["study.yaml"], ["seeds=[0, 1]"]).startswith("mine\n")
    assert "train_task                   6       0" in cost_of(["study.yaml"], ["seeds=[0, 1]"])
    assert "at 2 GFLOP/s" in cost_of(["study.yaml"], [], rate=2e9)
    with pytest.raises(SettingsError, match="'seeds' is not of the form key=value"):
        cost_of(["study.yaml"], ["seeds"])


@pytest.mark.parametrize("rate", [0.0, -5e12, float("nan"), float("inf")])
def test_a_speed_that_no_machine_has_is_refused(rate):
    with pytest.raises(SettingsError, match=r"no machine does .* operations per second; give a number above 0"):
        cost_of([], [], rate)


def test_studies_done_together_tell_what_they_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"name": name, **TINY}))
    text = cost_of([], ["studies=[one.yaml, two.yaml]"])
    assert "one                         19" in text
    assert "10 jobs are shared: 38 of the studies alone, 28 here;\n" in text
    once = "1 prepare_data, 1 split_stream, 3 train_task, 3 probe_checkpoint"
    assert f"\n{once}, 1 probe_random_network, 1 collect_runs\n" in text


def test_images_of_domains_that_a_study_chooses_are_counted_and_no_others(tmp_path):
    stream = Stream.parse("domainnet-domain2", {"domainnet": {"domains": ["clipart", "sketch"]}})
    assert task_sizes(stream, tmp_path) == ([33_525, 48_212], 14_604 + 20_916)
