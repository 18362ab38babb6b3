localrules:
    collect_runs,
    describe_study,
    make_table,
    draw_figure,
    draw_features,
    draw_timeline,
    write_page,
    write_report,


rule collect_runs:
    input:
        accuracies=get_probes,
        records=get_records,
    output:
        runs="results/runs.csv",
        jobs="results/benchmark.csv",
    log:
        "results/runs.log",
    conda:
        "../../environment.yml"
    params:
        code=get_collect_code,
    message:
        "Collecting every finished run into {output.runs}, every job into {output.jobs}"
    shell:
        "cassle collect --out {output.runs:q} --jobs {output.jobs:q} > {log:q} 2>&1"


rule describe_study:
    output:
        study=f"{STUDY}/study.json",
    log:
        f"{STUDY}/study.log",
    priority: 200
    conda:
        "../../environment.yml"
    params:
        cells=get_cells,
    message:
        "Writing down what the study's tables show"
    shell:
        "cassle study --cells {params.cells:q} --out {output.study:q} > {log:q} 2>&1"


rule make_table:
    input:
        runs="results/runs.csv",
        jobs="results/benchmark.csv",
        study=f"{STUDY}/study.json",
    output:
        markdown=f"{STUDY}/tables/{{stream}}/{{probe}}.md",
        csv=f"{STUDY}/tables/{{stream}}/{{probe}}.csv",
        latex=f"{STUDY}/tables/{{stream}}/{{probe}}.tex",
        html=report(
            f"{STUDY}/tables/{{stream}}/{{probe}}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"stream": "{stream}", "probe": "{probe}"},
        ),
    log:
        f"{STUDY}/tables/{{stream}}/{{probe}}.log",
    conda:
        "../../environment.yml"
    params:
        code=get_table_code,
    message:
        "Making the table of {wildcards.stream}, {wildcards.probe}"
    shell:
        "cassle table --runs {input.runs:q} --study {input.study:q} --stream {wildcards.stream:q}"
        " --probe {wildcards.probe:q} --jobs {input.jobs:q} --out {output.markdown:q} > {log:q} 2>&1"


rule draw_figure:
    input:
        runs="results/runs.csv",
        study=f"{STUDY}/study.json",
    output:
        pdf=f"{STUDY}/figures/{{stream}}/{{probe}}/{{figure}}.pdf",
        png=f"{STUDY}/figures/{{stream}}/{{probe}}/{{figure}}.png",
        svg=report(
            f"{STUDY}/figures/{{stream}}/{{probe}}/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"stream": "{stream}", "probe": "{probe}", "figure": "{figure}"},
        ),
    log:
        f"{STUDY}/figures/{{stream}}/{{probe}}/{{figure}}.log",
    conda:
        "../../environment.yml"
    params:
        code=get_figure_code,
    message:
        "Drawing {wildcards.figure} of {wildcards.stream}, {wildcards.probe}"
    shell:
        "cassle figure --runs {input.runs:q} --study {input.study:q} --name {wildcards.figure:q}"
        " --stream {wildcards.stream:q} --probe {wildcards.probe:q} --out {output.pdf:q} > {log:q} 2>&1"


rule draw_features:
    input:
        study=f"{STUDY}/study.json",
        features=get_features,
    output:
        pdf=f"{STUDY}/features/{{stream}}/{{figure}}.pdf",
        png=f"{STUDY}/features/{{stream}}/{{figure}}.png",
        svg=report(
            f"{STUDY}/features/{{stream}}/{{figure}}.svg",
            caption="../report/features.rst",
            category="Figures",
            labels={"stream": "{stream}", "probe": "features", "figure": "{figure}"},
        ),
    log:
        f"{STUDY}/features/{{stream}}/{{figure}}.log",
    conda:
        "../../environment.yml"
    params:
        code=get_feature_figure_code,
    message:
        "Drawing {wildcards.figure} of the features of {wildcards.stream}"
    shell:
        "cassle feature_figure --name {wildcards.figure:q} --study {input.study:q} --out {output.pdf:q}"
        " {input.features:q} > {log:q} 2>&1"


rule draw_timeline:
    input:
        jobs="results/benchmark.csv",
        study=f"{STUDY}/study.json",
    output:
        pdf=f"{STUDY}/timeline.pdf",
        png=f"{STUDY}/timeline.png",
        svg=report(
            f"{STUDY}/timeline.svg",
            caption="../report/timeline.rst",
            category="Cost",
            labels={"figure": "timeline"},
        ),
    log:
        f"{STUDY}/timeline.log",
    conda:
        "../../environment.yml"
    params:
        code=get_timeline_code,
    message:
        "Drawing when each job worked"
    shell:
        "cassle timeline --jobs {input.jobs:q} --study {input.study:q} --out {output.pdf:q} > {log:q} 2>&1"


rule write_page:
    input:
        runs="results/runs.csv",
        jobs="results/benchmark.csv",
        study=f"{STUDY}/study.json",
        figures=get_figures(),
    output:
        page=f"{STUDY}/report.html",
    log:
        f"{STUDY}/report.log",
    conda:
        "../../environment.yml"
    params:
        code=get_page_code,
    message:
        "Writing the report {output.page}"
    shell:
        "cassle page --runs {input.runs:q} --jobs {input.jobs:q} --study {input.study:q} --out {output.page:q}"
        " {input.figures:q} > {log:q} 2>&1"


rule write_report:
    input:
        tables=get_tables(),
        figures=get_figures(),
    output:
        report=f"{STUDY}/workflow.html",
    log:
        f"{STUDY}/workflow.log",
    conda:
        "../../environment.yml"
    params:
        config=get_report_config,
    message:
        "Writing Snakemake's report {output.report}"
    shell:
        "snakemake --report {output.report:q} --nolock {params.config} > {log:q} 2>&1"
