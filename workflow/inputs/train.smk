from cassle.contracts.layout import TASK_FOLDER


def get_train_job(wildcards):
    """Return the planned training of a directory."""
    return PLAN.train_job(TASK_FOLDER.format(**wildcards))


def get_previous(wildcards):
    """Return the checkpoint of task t-1, from which task t starts; none for a first task."""
    previous = get_train_job(wildcards).previous
    return [] if previous is None else previous.checkpoint


def get_first_checkpoint(wildcards):
    """Return the checkpoint that is taken over as a first task's, if the study names one."""
    return get_train_job(wildcards).first_checkpoint or []


def get_memory(wildcards):
    """Return the memory after task t-1, if the strategy keeps one."""
    memory = get_train_job(wildcards).memory
    return [] if memory is None else memory.memory


def get_train_digest(wildcards):
    """Return the digest of everything that determines a checkpoint."""
    return get_train_job(wildcards).spec.digest


def get_train_gpus(wildcards):
    """Return the number of GPUs a training asks for; a job that gets fewer keeps its global batch."""
    return get_train_job(wildcards).gpus


def get_train_threads(wildcards):
    """Return the cores a training computes on: its threads, in each of its processes."""
    execution = SITE.execution
    return execution.threads * max(get_train_gpus(wildcards), execution.processes)


def get_memory_job(wildcards):
    """Return the planned memory of a directory."""
    return PLAN.memory_job(TASK_FOLDER.format(**wildcards))


def get_remembered(wildcards):
    """Return the checkpoint of task t, which its memory is built from."""
    return get_memory_job(wildcards).checkpoint.checkpoint


def get_previous_memory(wildcards):
    """Return the memory after task t-1, from which that after task t starts."""
    previous = get_memory_job(wildcards).previous
    return [] if previous is None else previous.memory


def get_memory_digest(wildcards):
    """Return the digest of everything that determines a memory."""
    return get_memory_job(wildcards).spec.digest


def get_memory_gpus(wildcards):
    """Return the number of GPUs that building a memory asks for."""
    return min(1, get_memory_job(wildcards).gpus)
