import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cassle.contracts.records import write_record
from cassle.core.errors import CassleError
from cassle.monitor.status import last_words
from cassle.monitor.tracking.follow import start_follower
from cassle.plan import targets
from cassle.plan.request import JobsOnDemand, Request, plan_study
from cassle.plan.sources import check_workflow_path, put_own_commands_first
from cassle.reporting.show import where
from cassle.runtime.locks import clear_stale
from cassle.training.result_files import forget


def get_request():
    """Return what the user typed, what an including workflow gives as `config`, or what another process has saved."""
    saved = os.environ.get("CASSLE_REQUEST")
    if saved:
        return Request.load(Path(saved))
    if workflow.modifier.parent_modifier is not None:  # a module
        return Request(config, [])
    settings = workflow.config_settings
    return Request(settings.config, [str(file) for file in workflow.configfiles])


def get_plan_file(wildcards, input):
    """Return the file from which a job reads its settings.

    It takes `input` because Snakemake does not compare such parameters between runs: the digest of a job's settings is
    compared instead, so that a setting retrains what it determines and nothing else.
    """
    return str(PLAN_FILE)


def get_attempt(wildcards, attempt):
    """Return which attempt of a job this is, from 1."""
    return attempt


def warn():
    """Print what the user should know before jobs start."""
    from cassle.plan.finished import other_tables
    from cassle.plan.warnings import warnings

    others = warnings(PLAN, remote=workflow.non_local_exec, root=ROOT)
    for warning in filter(None, (KEPT, other_tables(PLAN, ROOT), *others)):
        logger.warning(warning)


def get_other_code():
    """Return a warning of finished trainings that other code made; imports torch, which jobs need not wait for."""
    from cassle.plan.finished import other_code

    return other_code(PLAN, ROOT)


def unlock():
    """Let go of the locks of a killed Snakemake; the guard is a lock of the kernel, which ends with its process."""
    other = clear_stale(Path(".snakemake/guard"), locks=Path(".snakemake/locks"))
    if other is not None:
        logger.warning(
            f"{other} runs Snakemake in this folder, too: what it works on is locked until it ends"
        )


def begin_study():
    """Write the plan of the study for `cassle status`, and start the trackers."""
    trackers = PLAN.study.trackers()
    write_record(ROOT / PLAN.folder.plan, targets.plan_record(PLAN))
    for verb in trackers:
        start_follower(verb, STUDY)


def explain_failure():
    """Print which jobs failed and why, or what makes that impossible to tell."""
    try:
        print(f"\n{last_words(STUDY)}\n")
    except CassleError as error:
        print(f"\n{error}\n")
    end_study()


def end_study():
    """Repeat at the end, where it is seen, which results were made by other code."""
    if KEPT is not None:
        print(f"\n{KEPT}\n")


def finish_study():
    """Remove what only unfinished trainings need, and print where the results are."""
    forget(ROOT / folder for folder in PLAN.train)
    end_study()
    for place in filter(
        None, (where(ROOT / str(part.folder)) for part in PLAN.parts())
    ):
        print(f"\n{place}")


put_own_commands_first()
MAIN = workflow.is_main_process
ROOT = Path(workflow.modifier.path_modifier.prefix or "")
"""The directory that paths of this workflow count from: a module's prefix, else the working directory."""

try:
    check_workflow_path(workflow.basedir)
    REQUEST = get_request()
    PLAN_FILE = REQUEST.plan_file()
    PLAN = plan_study(REQUEST, ROOT) if MAIN else JobsOnDemand(REQUEST)
    SITE = PLAN.study.site() if MAIN else PLAN.site
    STUDY = ROOT / str(PLAN.folder) if MAIN else None
    KEPT = get_other_code() if MAIN else None
    if MAIN:
        warn()
    if MAIN and not workflow.dryrun:
        unlock()
        targets.plan_file(PLAN).write(PLAN_FILE)
except CassleError as error:
    raise WorkflowError(str(error)) from None
