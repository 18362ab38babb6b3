from cassle.monitor.status import read_plan
from cassle.monitor.tracking.ledger import Ledger
from cassle.monitor.tracking.lines import trackable


def only(results):
    plan = read_plan(results.study)
    (training,) = trackable(results.root, plan.train, plan.probes)
    return training


def test_what_was_shown_completely_is_remembered(results, tmp_path):
    results.train(1)
    results.finish()
    Ledger(tmp_path / "shown").finish(only(results), "place0")
    ledger = Ledger(tmp_path / "shown")
    assert ledger.is_complete(only(results))
    assert ledger.entry(only(results)).places == ("place0",)


def test_another_evaluation_is_still_to_be_shown_but_no_epoch(results, tmp_path):
    ledger = Ledger(tmp_path / "shown")
    results.train(1)
    results.finish()
    ledger.finish(only(results))
    results.finish(accuracy=0.9)
    assert not ledger.is_complete(only(results))
    assert ledger.entry(only(results)).checkpoint == "c0"


def test_a_folder_that_is_trained_anew_is_another_generation(results, tmp_path):
    ledger = Ledger(tmp_path / "shown")
    results.train(1)
    results.finish()
    ledger.finish(only(results), "place0")
    results.finish(checkpoint="c1")
    entry = ledger.entry(only(results))
    assert (entry.generation, entry.checkpoint, entry.places) == (1, None, ("place0",))
    ledger.finish(only(results), "place1")
    assert ledger.entry(only(results)).places == ("place0", "place1")
