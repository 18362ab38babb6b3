from pathlib import Path

from snakemake.exceptions import WorkflowError

from cassle.core.errors import CassleError
from cassle.core.files import canonical_json
from cassle.runtime.locks import clear_stale
from cassle.plan.warnings import notices
from cassle.contracts.layout import check_place, find_own_commands
from cassle.plan.request import other_code, other_tables, plan_study
from cassle.reporting.show import where
from cassle.plan import targets
from cassle.monitor.status import last_words, write_plan
from cassle.monitor.tracking.follow import start_follower
from cassle.training.outputs import forget

find_own_commands()

try:
    check_place(workflow.basedir)
    PLAN = plan_study(
        workflow.config_settings.config,
        workflow.configfiles,
        default=Path(workflow.basedir).parent / "config" / "config.yaml",
    )
except CassleError as error:
    raise WorkflowError(str(error)) from None

KEPT = other_code(PLAN) if workflow.is_main_process else None
if workflow.is_main_process:
    others = notices(PLAN, remote=workflow.non_local_exec)
    for notice in filter(None, (KEPT, other_tables(PLAN), *others)):
        logger.warning(notice)

if workflow.is_main_process and not workflow.dryrun:
    # A killed Snakemake leaves its locks; the guard is a lock of the kernel, which ends with its process.
    other = clear_stale(Path(".snakemake/guard"), locks=Path(".snakemake/locks"))
    if other is not None:
        logger.warning(
            f"{other} runs Snakemake in this folder, too: what it works on is locked until it ends"
        )

SETTINGS = PLAN.study
SITE = canonical_json(SETTINGS.site().model_dump(mode="json"))
STUDY = PLAN.folder
RUN_FOLDER = "results/{stream}/{backbone}/{objective}/{strategy}/seed{seed}/task{task}"
RANDOM_FILE = (
    "results/{stream}/{backbone}/random/seed{seed}/probes/{stream}/{probes}.json"
)


def begin_study():
    """Write down what is planned, for `cassle status`, and start what shows it elsewhere."""
    trackers = SETTINGS.trackers()
    others = targets.other_jobs(PLAN)
    write_plan(Path(STUDY), list(PLAN.train), list(PLAN.probe), trackers, others)
    for verb in trackers:
        start_follower(verb, Path(STUDY))


def end_study():
    """Repeat at the end, where it is seen, what of the results other code has made."""
    if KEPT is not None:
        print(f"\n{KEPT}\n")


def get_site(wildcards, input):
    """What a job needs to know of the place it runs at.

    It takes `input` because Snakemake does not compare such parameters between runs: where a result was made is
    written into it, but moving to another machine retrains nothing.
    """
    return SITE
