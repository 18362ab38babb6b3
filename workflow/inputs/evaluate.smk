from cassle.contracts.layout import (
    PROBES,
    RANDOM_FOLDER,
    TASK_FOLDER,
    index_file,
    split_file,
)
from cassle.core.files import fingerprint


def get_probe_job(wildcards):
    """Return the planned evaluation of a file of accuracies."""
    folder = TASK_FOLDER if hasattr(wildcards, "task") else RANDOM_FOLDER
    return PLAN.probe_job(f"{folder}/{PROBES}.json".format(**wildcards))


def get_probe_indices(wildcards):
    """Return the index of every stream that is evaluated on, the main one first."""
    return [
        index_file(stream.index) for stream in get_probe_job(wildcards).spec.streams
    ]


def get_probe_splits(wildcards):
    """Return the split of every stream that is evaluated on, the main one first."""
    return [split_file(stream.name) for stream in get_probe_job(wildcards).spec.streams]


def get_probe_digest(wildcards):
    """Return the digest of everything that determines an evaluation."""
    return get_probe_job(wildcards).spec.digest


def get_probe_gpus(wildcards):
    """Return the number of GPUs an evaluation asks for: none where jobs run on the CPU."""
    return 0 if SITE.execution.device == "cpu" else 1


def get_evaluation_split(wildcards):
    """Return the split of the stream that is evaluated on."""
    return split_file(wildcards.evaluation)


def get_evaluation_digest(wildcards):
    """Return the digest of the stream that is evaluated on."""
    return fingerprint(PLAN.stream(wildcards.evaluation).model_dump(mode="json"))
