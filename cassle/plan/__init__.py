"""What a run is: its identity, its variant, its tasks, its parents and its paths.

A study is resolved once, before anything runs, into a `Plan`: one `TrainJob` per checkpoint, one `MemoryJob` per memory
and one `ProbeJob` per evaluation, keyed by their folders. Errors in the settings surface here, at the dry run.

In reading order: `grids` goes through a study; `parts`, `recipes`, `methods` and `probes` turn its choices into names,
complete settings and labels; `chains` makes the jobs of one combination; `plan` holds them, `targets` names files.
"""

from cassle.plan.checks import figure_names
from cassle.plan.grids import resolve
from cassle.plan.jobs import MemoryJob, ProbeJob, TrainJob
from cassle.plan.labels import label_of
from cassle.plan.plan import Plan, together
from cassle.plan.probes import probe_part, probe_spec
from cassle.plan.recipes import RECIPES

__all__ = [
    "RECIPES",
    "MemoryJob",
    "Plan",
    "ProbeJob",
    "TrainJob",
    "figure_names",
    "label_of",
    "probe_part",
    "probe_spec",
    "resolve",
    "together",
]
