rule probe_checkpoint:
    input:
        checkpoint=f"{RUN_FOLDER}/checkpoint.pt",
        index=get_probe_indices,
        split=get_probe_splits,
    output:
        accuracies=f"{RUN_FOLDER}/probes/{{evaluation}}/{{probes}}.json",
    log:
        f"{RUN_FOLDER}/probes/{{evaluation}}/{{probes}}.log",
    benchmark:
        f"{RUN_FOLDER}/probes/{{evaluation}}/{{probes}}.benchmark.tsv"
    retries: SETTINGS.execution.retries
    conda:
        "../../environment.yml"
    threads: SETTINGS.execution.threads
    resources:
        gpu=get_probe_gpus,
        attempt=get_attempt,
    params:
        spec=get_probe_spec,
        site=get_site,
        known=get_known_words,
    message:
        "Probing task {wildcards.task} of {wildcards.stream}: {wildcards.objective}, {wildcards.strategy},"
        " seed {wildcards.seed}, on {wildcards.evaluation}"
    shell:
        "cassle probe --spec {params.spec:q} --checkpoint {input.checkpoint:q} --index {input.index:q}"
        " --split {input.split:q} {params.known} --out {output.accuracies:q} --gpus {resources.gpu}"
        " --attempt {resources.attempt} --site {params.site:q} > {log:q} 2>&1"


rule extract_features:
    input:
        checkpoint=f"{RUN_FOLDER}/checkpoint.pt",
        index=get_index,
        split=get_evaluation_split,
    output:
        features=f"{RUN_FOLDER}/features/{{evaluation}}.npz",
    log:
        f"{RUN_FOLDER}/features/{{evaluation}}.log",
    retries: SETTINGS.execution.retries
    conda:
        "../../environment.yml"
    threads: SETTINGS.execution.threads
    resources:
        gpu=get_probe_gpus,
        attempt=get_attempt,
    params:
        spec=get_evaluation_spec,
        site=get_site,
    message:
        "Features of {wildcards.evaluation} after task {wildcards.task}: {wildcards.objective}, {wildcards.strategy},"
        " seed {wildcards.seed}"
    shell:
        "cassle features --spec {params.spec:q} --checkpoint {input.checkpoint:q} --index {input.index:q}"
        " --split {input.split:q} --out {output.features:q} --gpus {resources.gpu}"
        " --attempt {resources.attempt} --site {params.site:q} > {log:q} 2>&1"


rule probe_random_network:
    input:
        index=get_probe_indices,
        split=get_probe_splits,
    output:
        accuracies=RANDOM_FILE,
    log:
        "results/{stream}/{backbone}/random/seed{seed}/probes/{stream}/{probes}.log",
    benchmark:
        "results/{stream}/{backbone}/random/seed{seed}/probes/{stream}/{probes}.benchmark.tsv"
    retries: SETTINGS.execution.retries
    conda:
        "../../environment.yml"
    threads: SETTINGS.execution.threads
    resources:
        gpu=get_probe_gpus,
        attempt=get_attempt,
    params:
        spec=get_probe_spec,
        site=get_site,
        known=get_known_words,
    message:
        "Probing the random {wildcards.backbone} on {wildcards.stream}, seed {wildcards.seed}"
    shell:
        "cassle probe --spec {params.spec:q} --index {input.index:q} --split {input.split:q}"
        " {params.known} --out {output.accuracies:q} --gpus {resources.gpu} --attempt {resources.attempt}"
        " --site {params.site:q} > {log:q} 2>&1"
