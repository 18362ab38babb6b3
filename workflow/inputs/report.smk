from pathlib import Path

from cassle.core.errors import unknown
from cassle.core.files import canonical_json
from cassle.plan.request import words_of
from cassle.core.provenance import code_of
from cassle.reporting.codes import code_of_page
from cassle.plan import figure_names
from cassle.plan import targets


def get_probes(wildcards):
    """The accuracies of every checkpoint of the study, and of the random network."""
    return list(PLAN.probe)


def get_records(wildcards):
    """The records of every training of the study."""
    return targets.records(PLAN)


def get_cells(wildcards):
    """What a study's tables show, as one text."""
    return canonical_json(PLAN.part(wildcards.study).summary())


def get_own_figures(wildcards):
    """Every figure of the study that a report belongs to."""
    return targets.figures(PLAN.part(wildcards.study))


def get_own_images(wildcards):
    """What a report may show of each figure: it takes the smaller one of both."""
    figures = map(Path, get_own_figures(wildcards))
    return [
        str(figure.with_suffix(kind)) for figure in figures for kind in (".svg", ".png")
    ]


def get_own_records(wildcards):
    """The records of every training of the study that a report belongs to."""
    return targets.records(PLAN.part(wildcards.study))


def get_features(wildcards):
    """The features of a stream's test images after every task of a study's first seed."""
    stream = PLAN.stream(wildcards.stream).name
    return targets.features(PLAN.part(wildcards.study), stream)


def check_table(wildcards):
    """Refuse the table of a stream and a probe that a study does not show, and figures beside it."""
    part, key = PLAN.part(wildcards.study), (wildcards.stream, wildcards.probe)
    part.planned(
        dict.fromkeys(part.tables()), key, f"{part.folder}/tables/{'/'.join(key)}"
    )


def code_of_figure(package, name):
    """The meaning of the code that draws one figure; an unknown name is refused with the nearest one."""
    known = figure_names(package)
    if name not in known:
        raise unknown("figure", name, known)
    return code_of(f"{package}.{name}")


def get_table_code(wildcards):
    """The meaning of the code that makes tables: a change of it makes the tables anew."""
    check_table(wildcards)
    return code_of("cassle.reporting.tables.table")


def get_figure_code(wildcards):
    """The meaning of the code that draws one figure: a change of it draws that figure anew."""
    check_table(wildcards)
    return code_of_figure("cassle.reporting.figures", wildcards.figure)


def get_feature_figure_code(wildcards):
    """The meaning of the code that draws one figure of features."""
    return code_of_figure("cassle.reporting.figures.features", wildcards.figure)


def get_timeline_code(wildcards):
    """The meaning of the code that draws the timeline."""
    return code_of("cassle.reporting.timeline")


def get_page_code(wildcards):
    """The meaning of the code and of the text that the report is made of."""
    return code_of_page()


def get_collect_code(wildcards):
    """The meaning of the code that collects rows."""
    return code_of("cassle.reporting.rows.collect", "cassle.reporting.rows.benchmark")


def get_report_config(wildcards, input):
    """The command-line words that lead a second Snakemake to the same study."""
    return words_of(workflow.config_settings.config, workflow.configfiles)
