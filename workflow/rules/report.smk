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
        study="results/studies/{study}/study.json",
    log:
        "results/studies/{study}/study.log",
    priority: 200
    conda:
        "../../environment.yml"
    params:
        plan=get_plan_file,
        digest=get_study_digest,
    message:
        "Describing the tables of {wildcards.study}"
    shell:
        "cassle study --plan {params.plan:q} --out {output.study:q} > {log:q} 2>&1"


rule make_table:
    input:
        runs="results/runs.csv",
        jobs="results/benchmark.csv",
        study="results/studies/{study}/study.json",
    output:
        markdown="results/studies/{study}/tables/{stream}/{probe}.md",
        csv="results/studies/{study}/tables/{stream}/{probe}.csv",
        latex="results/studies/{study}/tables/{stream}/{probe}.tex",
        html=report(
            "results/studies/{study}/tables/{stream}/{probe}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"study": "{study}", "stream": "{stream}", "probe": "{probe}"},
        ),
    log:
        "results/studies/{study}/tables/{stream}/{probe}.log",
    conda:
        "../../environment.yml"
    params:
        code=get_table_code,
    message:
        "Making the table of {wildcards.study}: {wildcards.stream}, {wildcards.probe}"
    shell:
        "cassle table --runs {input.runs:q} --study {input.study:q} --stream {wildcards.stream:q}"
        " --probe {wildcards.probe:q} --jobs {input.jobs:q} --out {output.markdown:q} > {log:q} 2>&1"


rule draw_figure:
    input:
        runs="results/runs.csv",
        study="results/studies/{study}/study.json",
    output:
        pdf="results/studies/{study}/figures/{stream}/{probe}/{figure}.pdf",
        png="results/studies/{study}/figures/{stream}/{probe}/{figure}.png",
        svg=report(
            "results/studies/{study}/figures/{stream}/{probe}/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={
                "study": "{study}",
                "stream": "{stream}",
                "probe": "{probe}",
                "figure": "{figure}",
            },
        ),
    log:
        "results/studies/{study}/figures/{stream}/{probe}/{figure}.log",
    conda:
        "../../environment.yml"
    params:
        code=get_figure_code,
    message:
        "Drawing {wildcards.figure} of {wildcards.study}: {wildcards.stream}, {wildcards.probe}"
    shell:
        "cassle figure --runs {input.runs:q} --study {input.study:q} --name {wildcards.figure:q}"
        " --stream {wildcards.stream:q} --probe {wildcards.probe:q} --out {output.pdf:q} > {log:q} 2>&1"


rule draw_features:
    input:
        study="results/studies/{study}/study.json",
        features=get_features,
    output:
        pdf="results/studies/{study}/features/{stream}/{figure}.pdf",
        png="results/studies/{study}/features/{stream}/{figure}.png",
        svg=report(
            "results/studies/{study}/features/{stream}/{figure}.svg",
            caption="../report/features.rst",
            category="Figures",
            labels={
                "study": "{study}",
                "stream": "{stream}",
                "probe": "features",
                "figure": "{figure}",
            },
        ),
    log:
        "results/studies/{study}/features/{stream}/{figure}.log",
    conda:
        "../../environment.yml"
    params:
        plan=get_plan_file,
        code=get_feature_figure_code,
    message:
        "Drawing {wildcards.figure} of {wildcards.study}: features of {wildcards.stream}"
    shell:
        "cassle feature_figure --plan {params.plan:q} --name {wildcards.figure:q} --study {input.study:q}"
        " --out {output.pdf:q} > {log:q} 2>&1"


rule draw_timeline:
    input:
        jobs="results/benchmark.csv",
        study="results/studies/{study}/study.json",
    output:
        pdf="results/studies/{study}/timeline.pdf",
        png="results/studies/{study}/timeline.png",
        svg=report(
            "results/studies/{study}/timeline.svg",
            caption="../report/timeline.rst",
            category="Cost",
            labels={"study": "{study}", "figure": "timeline"},
        ),
    log:
        "results/studies/{study}/timeline.log",
    conda:
        "../../environment.yml"
    params:
        code=get_timeline_code,
    message:
        "Drawing the timeline of {wildcards.study}"
    shell:
        "cassle timeline --jobs {input.jobs:q} --study {input.study:q} --out {output.pdf:q} > {log:q} 2>&1"


rule write_page:
    input:
        runs="results/runs.csv",
        jobs="results/benchmark.csv",
        study="results/studies/{study}/study.json",
        figures=get_own_figures,
        images=get_own_images,
        records=get_own_records,
    output:
        page="results/studies/{study}/report.html",
    log:
        "results/studies/{study}/report.log",
    conda:
        "../../environment.yml"
    params:
        plan=get_plan_file,
        code=get_page_code,
    message:
        "Writing the report {output.page}"
    shell:
        "cassle page --plan {params.plan:q} --runs {input.runs:q} --jobs {input.jobs:q} --study {input.study:q}"
        " --out {output.page:q} > {log:q} 2>&1"


rule write_report:
    input:
        tables=get_tables,
        figures=get_figures,
    output:
        report=f"{STUDY}/workflow.html",
    log:
        f"{STUDY}/workflow.log",
    conda:
        "../../environment.yml"
    params:
        request=get_saved_request,
        snakefile=workflow.main_snakefile,
    message:
        "Writing Snakemake's report {output.report}"
    shell:
        "CASSLE_REQUEST={params.request:q} snakemake --snakefile {params.snakefile:q} --report {output.report:q}"
        " --nolock > {log:q} 2>&1"
