"""A study that is killed or stopped in many ways and resumed by the same command."""

import os
import shutil
import signal

from tests.torture.study import PATIENCE, Study, kill, trainer, wait_for, wait_for_log

ON = "are kept: the same command"
TASK = "results/digits-domain2/conv3-narrow/{}/cassle/seed0/task1/checkpoint.pt"


def checkpoint(study):
    """The output of the second task: a target that needs no probes."""
    objective = next(study.folder.glob("results/digits-domain2/conv3-narrow/barlow_twins*")).name
    return TASK.format(objective)


def equal(study, undisturbed):
    """Return whether the results equal those of the undisturbed study, without leftover files."""
    return study.contents() == undisturbed.contents() and not study.leftovers()


def alike(study, undisturbed):
    """Return the same without the rows, which a run with the second task as target does not write."""
    theirs = undisturbed.contents()
    del theirs["runs.csv"]
    return study.contents() == theirs and not study.leftovers()


def test_a_trainer_that_is_stopped_and_then_killed_is_retried_in_the_same_run(undisturbed, study):
    running = study.start()
    first = trainer(study)
    os.kill(first, signal.SIGTERM)
    second = trainer(study, other_than=first)
    wait_for_log(study, "resuming at epoch")
    os.kill(second, signal.SIGKILL)
    assert running.wait(PATIENCE) == 0, study.output()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert equal(study, undisturbed)


def test_a_killed_snakemake_leaves_an_orphan_that_the_same_command_waits_for(undisturbed, study):
    running = study.start()
    orphan = trainer(study)
    os.kill(orphan, signal.SIGSTOP)  # so that the next run starts before it ends
    running.kill()
    running.wait()
    running = study.start()
    wait_for_log(study, f"waiting for process {orphan}")
    os.kill(orphan, signal.SIGCONT)
    assert running.wait(PATIENCE) == 0, study.output()
    wait_for_log(study, "was finished meanwhile by another process")
    assert equal(study, undisturbed)


def test_the_checkpoint_of_an_orphan_that_finishes_alone_is_kept(undisturbed, study):
    running = study.start(checkpoint(study))
    orphan = trainer(study)
    running.kill()
    running.wait()
    wait_for(lambda: orphan not in study.processes(), "the orphan had ended")
    assert study.run(checkpoint(study)) == 0, study.output()
    wait_for_log(study, "was finished meanwhile by another process")
    assert alike(study, undisturbed)


def test_both_killed_in_the_middle_of_a_task_resume_from_its_training_state(undisturbed, study):
    running = study.start()
    pid = trainer(study)
    running.kill()
    kill(pid)
    running.wait()
    assert study.run() == 0, study.output()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert equal(study, undisturbed)


def test_ctrl_c_saves_and_the_same_command_resumes(undisturbed, study):
    running = study.start(checkpoint(study))
    trainer(study)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(PATIENCE) == 1
    assert "received SIGINT: saving the state after this step" in study.file("train.log").read_text()
    assert "the same command" in study.output()
    assert ON in study.output()
    assert study.processes() == []
    assert study.run(checkpoint(study)) == 0, study.output()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert alike(study, undisturbed)


def test_ctrl_c_twice_ends_everything_at_once_and_the_same_command_resumes(undisturbed, study):
    running = study.start(checkpoint(study))
    pid = trainer(study)
    os.kill(pid, signal.SIGSTOP)  # simulates a long step
    os.killpg(running.pid, signal.SIGINT)
    wait_for(lambda: "on user request" in study.output(), "Snakemake had received the first signal")
    os.killpg(running.pid, signal.SIGINT)
    os.kill(pid, signal.SIGCONT)
    assert running.wait(PATIENCE) != 0
    wait_for(lambda: study.processes() == [], "all processes had ended")
    assert study.run(checkpoint(study)) == 0, study.output()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert alike(study, undisturbed)


def test_a_second_snakemake_is_refused_and_sigterm_lets_running_jobs_finish(undisturbed, study):
    running = study.start()
    trainer(study)
    assert study.start().wait(PATIENCE) == 1
    assert f"process {running.pid} on {os.uname().nodename} runs Snakemake in this folder, too" in study.output()
    assert "Directory cannot be locked" in study.output()
    running.terminate()
    assert running.wait(PATIENCE) == 1
    assert study.file("checkpoint.pt").is_file()
    assert not list(study.file("probes").rglob("*.json"))
    assert study.run() == 0, study.output()
    assert "Training task 1" not in study.output()
    assert equal(study, undisturbed)


def test_a_walltime_ends_everything_in_two_steps_and_the_same_command_resumes(undisturbed, study):
    running = study.start(checkpoint(study))
    trainer(study)
    os.killpg(running.pid, signal.SIGTERM)
    wait_for_log(study, "the same command")
    study.end()
    running.wait(PATIENCE)
    assert study.run(checkpoint(study)) == 0, study.output()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert alike(study, undisturbed)


def test_a_damaged_checkpoint_is_named_and_once_deleted_trained_again(undisturbed, study):
    damaged = next(study.folder.glob("results/digits-domain2/conv3-narrow/*/first/seed0/task0/checkpoint.pt"))
    before = damaged.stat()
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert study.run(checkpoint(study)) == 1
    name = damaged.relative_to(study.folder)
    assert f"task1/train.json: cannot read checkpoint {name}: " in study.output()
    assert "delete it and run the workflow again" in study.output()
    assert f"log: {study.file('train.log').relative_to(study.folder)}" in study.output()
    damaged.unlink()
    assert study.run(checkpoint(study)) == 0, study.output()
    assert alike(study, undisturbed)


def test_a_disk_that_fills_up_under_a_study_stops_it_and_once_there_is_room_it_resumes(undisturbed, study, disk):
    shutil.copytree(study.folder, disk.folder, symlinks=True, dirs_exist_ok=True)
    full = Study(disk.folder, study.sessions)
    running = full.start(checkpoint(full))
    trainer(full)
    disk.fill(leaving=30_000, processes=full.processes())
    assert running.wait(PATIENCE) != 0
    assert not full.file("checkpoint.pt").is_file()
    if disk.mounted:
        assert f"The disk of {disk.folder} is full: make room first." in full.output()
    disk.free()
    assert full.run(checkpoint(full)) == 0, full.output()
    assert "resuming at epoch" in full.file("train.log").read_text()
    assert alike(full, undisturbed)
