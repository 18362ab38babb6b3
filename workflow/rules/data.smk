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
        dataset=get_dataset,
        settings=get_datasettings,
        site=get_site,
    message:
        "Checking {wildcards.dataset} and writing its index"
    shell:
        "cassle prepare --dataset {params.dataset:q} --settings {params.settings:q} --cores {threads}"
        " --out {output.index:q} --site {params.site:q} > {log:q} 2>&1"


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
        site=get_site,
        spec=get_stream_spec,
    message:
        "Splitting {wildcards.stream} into its tasks"
    shell:
        "cassle split --spec {params.spec:q} --index {input.index:q} --out {output.split:q}"
        " --site {params.site:q} > {log:q} 2>&1"
