rule prepare_data:
    output:
        index="results/data/{dataset}/index.npz",
        report="results/data/{dataset}/prepare.md",
    log:
        "results/data/{dataset}/prepare.log",
    conda:
        "../../environment.yml"
    threads: 8
    params:
        plan=get_plan_file,
        digest=get_data_digest,
    message:
        "Checking {wildcards.dataset} and writing its index"
    shell:
        "cassle prepare --plan {params.plan:q} --cores {threads} --out {output.index:q} > {log:q} 2>&1"


rule split_stream:
    input:
        index=get_index,
    output:
        split="results/{stream}/split.npz",
        table="results/{stream}/split.md",
    log:
        "results/{stream}/split.log",
    conda:
        "../../environment.yml"
    params:
        plan=get_plan_file,
        digest=get_stream_digest,
    message:
        "Splitting {wildcards.stream} into its tasks"
    shell:
        "cassle split --plan {params.plan:q} --index {input.index:q} --out {output.split:q} > {log:q} 2>&1"
