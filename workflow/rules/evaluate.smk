rule probe_checkpoint:
    input:
        checkpoint=f"{TASK_FOLDER}/checkpoint.pt",
        index=get_probe_indices,
        split=get_probe_splits,
    output:
        accuracies=f"{TASK_FOLDER}/{PROBES}.json",
    log:
        f"{TASK_FOLDER}/{PROBES}.log",
    benchmark:
        f"{TASK_FOLDER}/{PROBES}.benchmark.tsv"
    retries: SITE.execution.retries
    conda:
        "../../environment.yml"
    threads: SITE.execution.threads
    resources:
        gpu=get_probe_gpus,
        attempt=get_attempt,
    params:
        plan=get_plan_file,
        digest=get_probe_digest,
    message:
        "Probing task {wildcards.task} of {wildcards.stream}: {wildcards.objective}, {wildcards.strategy},"
        " seed {wildcards.seed}, on {wildcards.evaluation}"
    shell:
        "cassle probe --plan {params.plan:q} --digest {params.digest} --checkpoint={input.checkpoint:q}"
        " --index {input.index:q} --split {input.split:q} --out {output.accuracies:q} --gpus {resources.gpu}"
        " --attempt {resources.attempt} > {log:q} 2>&1"


use rule probe_checkpoint as probe_random_network with:
    input:
        checkpoint=[],
        index=get_probe_indices,
        split=get_probe_splits,
    output:
        accuracies=f"{RANDOM_FOLDER}/{PROBES}.json",
    log:
        f"{RANDOM_FOLDER}/{PROBES}.log",
    benchmark:
        f"{RANDOM_FOLDER}/{PROBES}.benchmark.tsv"
    message:
        "Probing the random {wildcards.backbone} on {wildcards.stream}, seed {wildcards.seed}"


rule extract_features:
    input:
        checkpoint=f"{TASK_FOLDER}/checkpoint.pt",
        index=get_index,
        split=get_evaluation_split,
    output:
        features=f"{TASK_FOLDER}/features/{{evaluation}}.npz",
    log:
        f"{TASK_FOLDER}/features/{{evaluation}}.log",
    retries: SITE.execution.retries
    conda:
        "../../environment.yml"
    threads: SITE.execution.threads
    resources:
        gpu=get_probe_gpus,
        attempt=get_attempt,
    params:
        plan=get_plan_file,
        digest=get_evaluation_digest,
    message:
        "Features of {wildcards.evaluation} after task {wildcards.task}: {wildcards.objective}, {wildcards.strategy},"
        " seed {wildcards.seed}"
    shell:
        "cassle features --plan {params.plan:q} --checkpoint {input.checkpoint:q} --index {input.index:q}"
        " --split {input.split:q} --out {output.features:q} --gpus {resources.gpu} --attempt {resources.attempt}"
        " > {log:q} 2>&1"
