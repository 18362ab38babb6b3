import shlex


def get_train_job(wildcards):
    """The planned training that a checkpoint's folder belongs to."""
    folder = RUN_FOLDER.format(**wildcards)
    return PLAN.planned(PLAN.train, folder, folder)


def get_previous(wildcards):
    """The checkpoint of task t-1, which task t goes on from."""
    return f"{get_train_job(wildcards).parent}/checkpoint.pt"


def get_given(wildcards):
    """The checkpoint that a first task is taken over from, if the study names one."""
    given = get_train_job(wildcards).given
    return [] if given is None else given


def get_given_words(wildcards, input):
    """The words that hand a given first checkpoint to the job."""
    return f"--given={shlex.quote(str(input.given))}" if input.given else ""


def get_memory(wildcards):
    """What the strategy kept after task t-1, if it keeps something."""
    memory = get_train_job(wildcards).memory
    return [] if memory is None else memory


def get_memory_words(wildcards, input):
    """The words that hand a memory to the job."""
    return f"--memory {shlex.quote(str(input.memory))}" if input.memory else ""


def get_train_spec(wildcards):
    """Everything that determines a checkpoint, as one text."""
    return get_train_job(wildcards).key


def get_train_gpus(wildcards):
    """How many GPUs a training asks for; a job that gets fewer keeps its global batch."""
    return get_train_job(wildcards).gpus


def get_train_threads(wildcards):
    """The cores a training computes on: its threads, in each of its processes."""
    execution = SETTINGS.execution
    return execution.threads * max(get_train_gpus(wildcards), execution.processes)


def get_attempt(wildcards, attempt):
    """Which attempt of a job this is, from 1."""
    return attempt


def get_memory_job(wildcards):
    """The planned memory of a folder."""
    folder = RUN_FOLDER.format(**wildcards)
    return PLAN.planned(PLAN.memory, folder, f"{folder}/memory.pt")


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
