import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cassle.errors import CassleError
from cassle.files import canonical_json, fingerprint
from cassle.locks import clear_stale
from cassle.paths import find_own_commands, index_file, split_file
from cassle.planning import other_code, plan_study
from cassle.provenance import code_of
from cassle.status import last_words, write_plan
from cassle.tracking.follow import start_follower
from cassle.training.outputs import forget

find_own_commands()

try:
    PLAN = plan_study(
        config,
        workflow.configfiles,
        default=Path(workflow.basedir).parent / "config" / "config.yaml",
    )
except CassleError as error:
    raise WorkflowError(str(error)) from None

if (notice := other_code(PLAN)) is not None:
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
STUDY = f"results/studies/{SETTINGS.name}"
RUN_FOLDER = "results/{stream}/{backbone}/{objective}/{strategy}/seed{seed}/task{task}"
RANDOM_FILE = (
    "results/{stream}/{backbone}/random/seed{seed}/probes/{stream}/{probes}.json"
)
FORMATS = ["md", "csv", "tex", "html"]


def begin_study():
    """Write down what is planned, for `cassle status`, and start what shows it elsewhere."""
    trackers = SETTINGS.trackers()
    write_plan(
        Path(STUDY), list(PLAN.train), list(PLAN.probe), trackers, get_other_jobs()
    )
    for verb in trackers:
        start_follower(verb, Path(STUDY))


def get_other_jobs():
    """The output and the log of every job that prepares data or keeps a memory, for `cassle status`."""
    splits = {
        split_file(stream): f"results/{stream}/split.log" for stream in PLAN.streams
    }
    names = {stream.index for stream in PLAN.streams.values()}
    indices = {index_file(name): f"results/data/{name}/prepare.log" for name in names}
    memories = {job.file: f"{job.folder}/remember.log" for job in PLAN.memory.values()}
    return indices | splits | memories


def get_train_job(wildcards):
    """The planned training that a checkpoint's folder belongs to."""
    folder = RUN_FOLDER.format(**wildcards)
    if folder not in PLAN.train:
        raise WorkflowError(f"{folder} is not part of the study '{SETTINGS.name}'")
    return PLAN.train[folder]


def get_index(wildcards):
    """The index of a stream's data set."""
    return index_file(PLAN.streams[wildcards.stream].index)


def get_indexed_stream(wildcards):
    """A stream of the study that an index is made for."""
    return next(s for s in PLAN.streams.values() if s.index == wildcards.data_set)


def get_data_set(wildcards):
    """The name of the data set of an index."""
    return get_indexed_stream(wildcards).data_set


def get_data_settings(wildcards):
    """The settings of a data set that determine its index, as one text."""
    return canonical_json(get_indexed_stream(wildcards).index_data)


def get_split(wildcards):
    """The split of the stream that is trained on."""
    return split_file(wildcards.stream)


def get_evaluation_split(wildcards):
    """The split of the stream that is evaluated on."""
    return split_file(wildcards.evaluation)


def get_probe_job(wildcards):
    """The planned evaluation that a file of accuracies belongs to."""
    file = RANDOM_FILE
    if hasattr(wildcards, "task"):
        file = f"{RUN_FOLDER}/probes/{{evaluation}}/{{probes}}.json"
    return PLAN.probe[file.format(**wildcards)]


def get_probe_indices(wildcards):
    """The index of every stream that an evaluation looks at, the evaluated one first."""
    return [index_file(stream.index) for stream in get_probe_job(wildcards).streams]


def get_probe_splits(wildcards):
    """The split of every stream that an evaluation looks at, the evaluated one first."""
    return [split_file(stream.name) for stream in get_probe_job(wildcards).streams]


def get_previous(wildcards):
    """The checkpoint of task t-1, which task t goes on from."""
    return f"{get_train_job(wildcards).parent}/checkpoint.pt"


def get_given(wildcards):
    """The checkpoint that a first task is taken over from, if the study names one."""
    given = get_train_job(wildcards).given
    return [] if given is None else given


def get_given_words(wildcards, input):
    """The words that hand a given first checkpoint to the job."""
    return f"--given {shlex.quote(str(input.given))}" if input.given else ""


def get_memory(wildcards):
    """What the strategy kept after task t-1, if it keeps something."""
    memory = get_train_job(wildcards).memory
    return [] if memory is None else memory


def get_memory_words(wildcards, input):
    """The words that hand a memory to the job."""
    return f"--memory {shlex.quote(str(input.memory))}" if input.memory else ""


def get_memory_job(wildcards):
    """The planned memory of a folder."""
    folder = RUN_FOLDER.format(**wildcards)
    if folder not in PLAN.memory:
        raise WorkflowError(
            f"nothing is kept in {folder} by the study '{SETTINGS.name}'"
        )
    return PLAN.memory[folder]


def get_remembered(wildcards):
    """The checkpoint of task t, which its memory is made from."""
    return f"{get_memory_job(wildcards).checkpoint}/checkpoint.pt"


def get_previous_memory(wildcards):
    """The memory after task t-1, which that after task t goes on from."""
    previous = get_memory_job(wildcards).previous
    return [] if previous is None else previous


def get_memory_spec(wildcards):
    """Everything that determines a memory, as one text."""
    return get_memory_job(wildcards).key


def get_memory_gpus(wildcards):
    """How many GPUs the making of a memory asks for."""
    return min(1, get_memory_job(wildcards).gpus)


def get_train_spec(wildcards):
    """Everything that determines a checkpoint, as one text."""
    return get_train_job(wildcards).key


def get_train_gpus(wildcards):
    """How many GPUs a training asks for; a job that gets fewer keeps its global batch."""
    return get_train_job(wildcards).gpus


def get_probe_gpus(wildcards):
    """How many GPUs an evaluation asks for: none where jobs are told to run on the CPU."""
    return 0 if SETTINGS.execution.device == "cpu" else 1


def get_train_threads(wildcards):
    """The cores a training computes on: its threads, in each of its processes."""
    execution = SETTINGS.execution
    return execution.threads * max(get_train_gpus(wildcards), execution.processes)


def get_probe_spec(wildcards):
    """Everything that determines an evaluation, as one text."""
    return get_probe_job(wildcards).key


def get_stream_spec(wildcards):
    """Everything that determines a split, as one text."""
    return canonical_json(PLAN.streams[wildcards.stream].model_dump(mode="json"))


def get_site(wildcards, input):
    """What a job needs to know of the place it runs at.

    It takes `input` because Snakemake does not compare such parameters between runs: where a result was made is
    written into it, but moving to another machine retrains nothing.
    """
    return SITE


def get_attempt(wildcards, attempt):
    """Which attempt of a job this is, from 1."""
    return attempt


def get_probes(wildcards=None):
    """The accuracies of every checkpoint of the study, and of the random network."""
    return list(PLAN.probe)


def get_records(wildcards=None):
    """The records of every training of the study."""
    return [f"{folder}/train.json" for folder in PLAN.train]


def get_results(wildcards=None):
    """Every checkpoint, memory, record and evaluation of the study.

    They are targets beside what is made of them, as Snakemake does not miss an intermediate file by itself.
    """
    checkpoints = [f"{folder}/checkpoint.pt" for folder in PLAN.train]
    memories = [job.file for job in PLAN.memory.values()]
    return checkpoints + memories + get_records() + get_probes()


def get_part(wildcards):
    """The plan of the study that a file belongs to, one of several that may be done together."""
    return next(p for p in PLAN.parts() if p.study.name == wildcards.study)


def get_tables(wildcards=None):
    """Every table of every study, in every format."""
    return [
        f"results/studies/{part.study.name}/tables/{stream}/{probe}.{suffix}"
        for part in PLAN.parts()
        for stream, probe in part.tables()
        for suffix in FORMATS
    ]


def figures_of(part):
    """Every figure of one study: of accuracies, of features, and of when its jobs worked."""
    place = f"results/studies/{part.study.name}"
    accuracies = [
        f"{place}/figures/{stream}/{probe}/{figure}.pdf"
        for stream, probe, figure in part.figures()
    ]
    features = [
        f"{place}/features/{stream}/{figure}.pdf"
        for stream in part.cells["streams"]
        for figure in part.study.features
    ]
    return accuracies + features + [f"{place}/timeline.pdf"]


def get_figures(wildcards=None):
    """Every figure of every study."""
    return [file for part in PLAN.parts() for file in figures_of(part)]


def get_own_figures(wildcards):
    """Every figure of the study that a report belongs to."""
    return figures_of(get_part(wildcards))


def get_pages(wildcards=None):
    """The report of every study."""
    return [f"results/studies/{p.study.name}/report.html" for p in PLAN.parts()]


def get_features(wildcards):
    """The features of a stream's test images after every task of a study's first seed."""
    part = get_part(wildcards)
    seed = f"/seed{part.summary()['seeds'][0]}/"
    files = [
        f"{probe.folder}/features/{wildcards.stream}.npz"
        for probe in part.probe.values()
        if probe.trained
        and seed in f"{probe.folder}/"
        and f"/probes/{wildcards.stream}/" in probe.file
    ]
    return list(dict.fromkeys(files))


def get_evaluation_spec(wildcards):
    """Everything that determines the stream that is evaluated on, as one text."""
    return canonical_json(PLAN.streams[wildcards.evaluation].model_dump(mode="json"))


def get_cells(wildcards):
    """What a study's tables show, as one text."""
    return canonical_json(get_part(wildcards).summary())


def get_table_code(wildcards):
    """The meaning of the code that makes tables: a change of it makes the tables anew."""
    return code_of("cassle.reporting.tables")


def get_figure_code(wildcards):
    """The meaning of the code that draws one figure: a change of it draws that figure anew."""
    return code_of(f"cassle.reporting.figures.{wildcards.figure}")


def get_feature_figure_code(wildcards):
    """The meaning of the code that draws one figure of features."""
    return code_of(f"cassle.reporting.figures.features.{wildcards.figure}")


def get_timeline_code(wildcards):
    """The meaning of the code that draws the timeline."""
    return code_of("cassle.reporting.timeline")


def get_page_code(wildcards):
    """The meaning of the code and of the text that the report is made of."""
    page = Path(workflow.basedir).parent / "cassle" / "reporting" / "page.html"
    return f"{code_of('cassle.reporting.page')} {fingerprint(page.read_text())}"


def get_collect_code(wildcards):
    """The meaning of the code that collects rows."""
    return code_of("cassle.reporting.collect", "cassle.reporting.jobs")


def get_report_config(wildcards, input):
    """The command-line words that lead a second Snakemake to the same study."""
    files = " ".join(shlex.quote(str(file)) for file in workflow.configfiles)
    words = " ".join(
        shlex.quote(f"{key}={canonical_json(value)}")
        for key, value in workflow.config_settings.config.items()
    )
    return (f"--configfile {files} " if files else "") + (
        f"--config {words}" if words else ""
    )
