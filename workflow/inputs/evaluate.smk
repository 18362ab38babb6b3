import shlex
from pathlib import Path

from cassle.core.files import canonical_json
from cassle.contracts.layout import index_file, split_file


def get_probe_job(wildcards):
    """The planned evaluation that a file of accuracies belongs to."""
    file = RANDOM_FILE
    if hasattr(wildcards, "task"):
        file = f"{RUN_FOLDER}/probes/{{evaluation}}/{{probes}}.json"
    file = file.format(**wildcards)
    return PLAN.planned(PLAN.probe, file, file)


def get_known_words(wildcards, input):
    """The words that name the files of accuracies which other sets of probes have left of the same checkpoint."""
    job = get_probe_job(wildcards)
    files = {str(file) for file in Path(job.place).glob("*.json")} - {job.file}
    return shlex.join(["--known", *sorted(files)]) if files else ""


def get_probe_indices(wildcards):
    """The index of every stream that an evaluation looks at, the evaluated one first."""
    return [index_file(stream.index) for stream in get_probe_job(wildcards).streams]


def get_probe_splits(wildcards):
    """The split of every stream that an evaluation looks at, the evaluated one first."""
    return [split_file(stream.name) for stream in get_probe_job(wildcards).streams]


def get_probe_spec(wildcards):
    """Everything that determines an evaluation, as one text."""
    return get_probe_job(wildcards).key


def get_probe_gpus(wildcards):
    """How many GPUs an evaluation asks for: none where jobs are told to run on the CPU."""
    return 0 if SETTINGS.execution.device == "cpu" else 1


def get_evaluation_split(wildcards):
    """The split of the stream that is evaluated on."""
    return split_file(wildcards.evaluation)


def get_evaluation_spec(wildcards):
    """Everything that determines the stream that is evaluated on, as one text."""
    return canonical_json(PLAN.stream(wildcards.evaluation).model_dump(mode="json"))
