rule train_task:
    input:
        previous=get_previous,
        memory=get_memory,
        first_checkpoint=get_first_checkpoint,
        index=get_index,
        split=get_split,
    output:
        checkpoint=f"{TASK_FOLDER}/checkpoint.pt",
        record=f"{TASK_FOLDER}/train.json",
    log:
        f"{TASK_FOLDER}/train.log",
    benchmark:
        f"{TASK_FOLDER}/train.benchmark.tsv"
    priority: 100
    retries: SITE.execution.retries
    conda:
        "../../environment.yml"
    threads: get_train_threads
    resources:
        gpu=get_train_gpus,
        attempt=get_attempt,
    params:
        plan=get_plan_file,
        digest=get_train_digest,
        folder=subpath(output.checkpoint, parent=True),
    message:
        "Training task {wildcards.task} of {wildcards.stream}: {wildcards.objective}, {wildcards.strategy},"
        " seed {wildcards.seed}"
    shell:
        "cassle train --plan {params.plan:q} --digest {params.digest} --folder {params.folder:q}"
        " --index {input.index:q} --split {input.split:q} --previous={input.previous:q} --memory={input.memory:q}"
        " --first_checkpoint={input.first_checkpoint:q} --gpus {resources.gpu} --attempt {resources.attempt} > {log:q} 2>&1"


rule build_memory:
    input:
        checkpoint=get_remembered,
        memory=get_previous_memory,
        index=get_index,
        split=get_split,
    output:
        memory=f"{TASK_FOLDER}/memory.pt",
    log:
        f"{TASK_FOLDER}/build_memory.log",
    benchmark:
        f"{TASK_FOLDER}/build_memory.benchmark.tsv"
    priority: 100
    retries: SITE.execution.retries
    conda:
        "../../environment.yml"
    threads: SITE.execution.threads
    resources:
        gpu=get_memory_gpus,
        attempt=get_attempt,
    params:
        plan=get_plan_file,
        digest=get_memory_digest,
    message:
        "Building the memory of {wildcards.strategy} after task {wildcards.task} of {wildcards.stream}:"
        " {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "cassle build_memory --plan {params.plan:q} --digest {params.digest} --checkpoint {input.checkpoint:q}"
        " --memory={input.memory:q} --index {input.index:q} --split {input.split:q} --out {output.memory:q}"
        " --gpus {resources.gpu} --attempt {resources.attempt} > {log:q} 2>&1"
