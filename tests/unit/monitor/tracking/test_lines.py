from cassle.monitor.status import read_plan
from cassle.monitor.tracking.lines import trackable
from tests.unit.monitor.tracking.conftest import FOLDER


def read(results):
    plan = read_plan(results.study)
    return list(trackable(results.root, plan.train, plan.probes))


def test_what_has_not_begun_is_not_shown(results):
    assert read(results) == []


def test_a_training_is_complete_when_it_is_evaluated(results):
    results.train(2)
    (going_on,) = read(results)
    assert (going_on.complete, going_on.record, len(going_on.lines)) == (False, None, 2)
    results.finish()
    (done,) = read(results)
    assert done.complete
    assert (done.run, done.task) == ("digits-domain2/conv3/simclr/cassle/seed0", "task1")
    assert done.folder == FOLDER


def test_the_summary_has_each_accuracy_and_their_mean(results):
    results.train(1)
    results.finish(accuracy=0.25)
    (done,) = read(results)
    assert done.summary() == {
        "digits-domain2/knn/task0": 0.25,
        "digits-domain2/knn/task1": 0.75,
        "digits-domain2/knn/mean": 0.5,
    }
