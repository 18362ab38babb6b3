from importlib.util import find_spec
from pathlib import Path

from cassle.core.errors import unknown
from cassle.core.files import fingerprint
from cassle.core.provenance import code_of
from cassle.core.registry import module_names


def get_results(wildcards):
    """Return every checkpoint, memory, record and evaluation."""
    return targets.results(PLAN)


def get_tables(wildcards):
    """Return every table of every study."""
    return targets.tables(PLAN)


def get_figures(wildcards):
    """Return every figure of every study."""
    return targets.figures(PLAN)


def get_pages(wildcards):
    """Return the report of every study."""
    return targets.pages(PLAN)


def get_probes(wildcards):
    """Return the accuracies of every checkpoint of the study, and of the random network."""
    return list(PLAN.probe)


def get_records(wildcards):
    """Return the records of every training of the study."""
    return targets.records(PLAN)


def get_study_digest(wildcards):
    """Return the digest of what a study's tables show."""
    return fingerprint(PLAN.part(wildcards.study).summary().as_json())


def get_own_figures(wildcards):
    """Return every figure of the study that a report belongs to."""
    return targets.figures(PLAN.part(wildcards.study))


def get_own_images(wildcards):
    """Return the images of each figure, of which a report takes the smaller one."""
    figures = map(Path, get_own_figures(wildcards))
    return [
        str(figure.with_suffix(kind)) for figure in figures for kind in (".svg", ".png")
    ]


def get_own_records(wildcards):
    """Return the records of every training of the study that a report belongs to."""
    return targets.records(PLAN.part(wildcards.study))


def get_features(wildcards):
    """Return the features of a stream's test images after every task of a study's first seed."""
    stream = PLAN.stream(wildcards.stream).name
    return targets.features(PLAN.part(wildcards.study), stream)


def check_table(wildcards):
    """Refuse the table of a stream and a probe that a study does not show, and figures beside it."""
    part, key = PLAN.part(wildcards.study), (wildcards.stream, wildcards.probe)
    part.planned(dict.fromkeys(part.tables()), key, part.folder.table(*key))


def code_of_figure(package, name):
    """Return the meaning of the code that draws one figure; an unknown name is refused with the nearest one."""
    known = module_names(package)
    if name not in known:
        raise unknown("figure", name, known)
    return code_of(f"{package}.{name}")


def get_table_code(wildcards):
    """Return the meaning of the code that makes tables: a change of it makes the tables anew."""
    check_table(wildcards)
    return code_of("cassle.reporting.tables.table")


def get_figure_code(wildcards):
    """Return the meaning of the code that draws one figure: a change of it draws that figure anew."""
    check_table(wildcards)
    return code_of_figure("cassle.reporting.figures", wildcards.figure)


def get_feature_figure_code(wildcards):
    """Return the meaning of the code that draws one figure of features."""
    return code_of_figure("cassle.reporting.figures.features", wildcards.figure)


def get_timeline_code(wildcards):
    """Return the meaning of the code that draws the timeline."""
    return code_of("cassle.reporting.timeline")


def get_page_code(wildcards):
    """Return the meaning of the code and of the text that the report is made of."""
    page = Path(find_spec("cassle.reporting.page").origin).with_suffix(".html")
    return f"{code_of('cassle.reporting.page')} {fingerprint(page.read_text())}"


def get_collect_code(wildcards):
    """Return the meaning of the code that collects rows."""
    return code_of("cassle.reporting.rows.collect", "cassle.reporting.rows.benchmark")


def get_saved_request(wildcards, input):
    """Return the file that leads a second Snakemake to the same study."""
    saved = PLAN_FILE.with_suffix(".request.json")
    if not workflow.dryrun:
        REQUEST.save(saved)
    return str(saved)
