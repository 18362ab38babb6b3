import subprocess
import sys

from cassle.monitor.tracking.follow import EVERY, follow, start_follower


class Shown:
    def __init__(self):
        self.epochs, self.closed = [], False

    def show(self, training):
        self.epochs.append(len(training.lines))

    def show_tables(self, study):
        self.tables_after = len(self.epochs)

    def close(self):
        self.closed = True


def test_a_follower_looks_once_more_after_its_parent_has_ended(results):
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tracker, waits = Shown(), []

    def sleep(seconds):
        waits.append(seconds)
        results.train(len(waits))
        if len(waits) == 2:
            parent.communicate(b"\n")

    follow(results.study, tracker, parent.pid, sleep)
    assert tracker.epochs == [1, 2]
    assert waits == [EVERY, EVERY]
    assert tracker.tables_after == 2
    assert tracker.closed


def test_a_follower_that_fails_leaves_its_words_in_a_log_and_harms_nobody(results):
    log = results.root / "results/tracking/wandb.log"
    started = start_follower("wandb", results.root / "results/studies/unknown")
    assert started.wait(60) == 1
    assert "nothing is known of" in log.read_text()
