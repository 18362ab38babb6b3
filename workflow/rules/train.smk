rule train_first_task:
    input:
        index=get_index,
        split=get_split,
        given=get_given,
    output:
        checkpoint=f"{RUN_FOLDER}/checkpoint.pt",
        record=f"{RUN_FOLDER}/train.json",
    log:
        f"{RUN_FOLDER}/train.log",
    benchmark:
        f"{RUN_FOLDER}/train.benchmark.tsv"
    wildcard_constraints:
        task="0",
    priority: 100
    retries: SETTINGS.execution.retries
    conda:
        "../../environment.yml"
    threads: get_train_threads
    resources:
        gpu=get_train_gpus,
        attempt=get_attempt,
    params:
        spec=get_train_spec,
        site=get_site,
        folder=subpath(output.checkpoint, parent=True),
        given=get_given_words,
    message:
        "Training task 0 of {wildcards.stream}: {wildcards.objective}, {wildcards.strategy}, seed {wildcards.seed}"
    shell:
        "cassle train --spec {params.spec:q} --index {input.index:q} --split {input.split:q}"
        " --folder {params.folder:q} {params.given} --gpus {resources.gpu} --attempt {resources.attempt} --site {params.site:q} > {log:q} 2>&1"


rule build_memory:
    input:
        checkpoint=get_remembered,
        memory=get_previous_memory,
        index=get_index,
        split=get_split,
    output:
        memory=f"{RUN_FOLDER}/memory.pt",
    log:
        f"{RUN_FOLDER}/build_memory.log",
    benchmark:
        f"{RUN_FOLDER}/build_memory.benchmark.tsv"
    priority: 100
    retries: SETTINGS.execution.retries
    conda:
        "../../environment.yml"
    threads: SETTINGS.execution.threads
    resources:
        gpu=get_memory_gpus,
        attempt=get_attempt,
    params:
        spec=get_memory_spec,
        site=get_site,
        memory=get_memory_words,
    message:
        "Keeping what {wildcards.strategy} needs of task {wildcards.task} of {wildcards.stream}:"
        " {wildcards.objective}, seed {wildcards.seed}"
    shell:
        "cassle build_memory --spec {params.spec:q} --checkpoint {input.checkpoint:q} {params.memory}"
        " --index {input.index:q} --split {input.split:q} --out {output.memory:q} --gpus {resources.gpu}"
        " --attempt {resources.attempt} --site {params.site:q} > {log:q} 2>&1"


rule train_next_task:
    input:
        previous=get_previous,
        memory=get_memory,
        index=get_index,
        split=get_split,
    output:
        checkpoint=f"{RUN_FOLDER}/checkpoint.pt",
        record=f"{RUN_FOLDER}/train.json",
    log:
        f"{RUN_FOLDER}/train.log",
    benchmark:
        f"{RUN_FOLDER}/train.benchmark.tsv"
    wildcard_constraints:
        task=r"[1-9]\d*",
    priority: 100
    retries: SETTINGS.execution.retries
    conda:
        "../../environment.yml"
    threads: get_train_threads
    resources:
        gpu=get_train_gpus,
        attempt=get_attempt,
    params:
        spec=get_train_spec,
        site=get_site,
        folder=subpath(output.checkpoint, parent=True),
        memory=get_memory_words,
    message:
        "Training task {wildcards.task} of {wildcards.stream}: {wildcards.objective}, {wildcards.strategy},"
        " seed {wildcards.seed}"
    shell:
        "cassle train --spec {params.spec:q} --index {input.index:q} --split {input.split:q}"
        " --previous {input.previous:q} {params.memory} --folder {params.folder:q} --gpus {resources.gpu}"
        " --attempt {resources.attempt} --site {params.site:q} > {log:q} 2>&1"
