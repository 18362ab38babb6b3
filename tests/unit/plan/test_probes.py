"""Evaluations: which probes see which checkpoint, and how their variants are named."""

import pytest

from cassle.core.errors import SettingsError
from tests.unit.plan.world import plan


def test_every_checkpoint_and_the_random_network_are_evaluated_once():
    made = plan(probes=["knn", "online"])
    trained = {file for file in made.probe if "/random/" not in file}
    assert trained == {f"{folder}/probes/digits-domain3/knn+online.json" for folder in made.train}
    assert set(made.probe) - trained == {"results/digits-domain3/conv3/random/seed0/probes/digits-domain3/knn.json"}


def test_variants_of_probes_and_streams_have_names_of_their_own():
    made = plan(probes=[{"name": "knn", "k": 5}], streams=[{"name": "digits-class2", "class_order": 7}])
    assert made.summary().probes == ["knn~k=5"]
    assert made.names["knn~k=5"] == "knn (k=5)"
    assert all(job.output.folder.stream == "digits-class2~class_order=7" for job in made.probe.values())


def test_another_classifier_in_a_probe_marks_its_file():
    made = plan(probes=[{"name": "semi_10", "classifier": "linear_cached"}])
    assert {file.split("/")[-1] for file in made.probe} == {"semi_10~classifier=linear_cached.json"}


def test_transfer_looks_at_a_stream_of_its_own_which_is_split_too():
    made = plan(probes=["knn", {"name": "transfer", "to": "digits-class5", "classifier": "linear_cached"}])
    assert set(made.streams) == {"digits-domain3", "digits-class5"}
    for job in made.probe.values():
        assert [stream.name for stream in job.spec.streams] == ["digits-domain3", "digits-class5"]
    assert {file.split("/")[-2] for file in made.probe} == {"digits-domain3"}


def test_the_random_network_is_evaluated_by_the_probes_that_need_no_training():
    made = plan(probes=["semi_1", "online", {"name": "knn", "features": "projector"}, "knn"])
    (random,) = [job for job in made.probe.values() if job.at is None]
    assert [probe.label for probe in random.spec.probes] == ["semi_1", "knn"]


def test_a_probe_that_does_not_suit_a_stream_fails_the_dry_run():
    with pytest.raises(SettingsError, match="probe domain_aware does not suit digits-class5: its tasks are no domains"):
        plan(streams=["digits-class5"], probes=["domain_aware"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probes": ["linaer_cached"]}, "there is no probe 'linaer_cached': did you mean 'linear_cached'"),
        ({"probes": [{"name": "knn", "neighbors": 3}]}, "probe knn: unknown key 'neighbors'"),
    ],
)
def test_a_dry_run_refuses_probes_that_do_not_exist(changes, message):
    with pytest.raises(SettingsError, match=message):
        plan(**changes)
