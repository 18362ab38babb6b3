rule prepare_data:
    output:
        index="results/data/{data_set}/index.npz",
        report="results/data/{data_set}/prepare.md",
    log:
        "results/data/{data_set}/prepare.log",
    conda:
        "../../environment.yml"
    threads: 8
    params:
        data_set=get_data_set,
        settings=get_data_settings,
        site=get_site,
    message:
        "Checking {wildcards.data_set} and writing its index"
    shell:
        "cassle prepare --data_set {params.data_set:q} --settings {params.settings:q} --cores {threads}"
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
