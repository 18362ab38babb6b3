"""From a study to its plan: every run, with its variants, tasks and paths, resolved once before anything runs.

Errors in the settings surface here, at the dry run. In reading order: `request` reads what a user typed; `grids` goes
through a study; `components`, `recipes`, `methods` and `probes` turn its choices into names, complete settings
and labels; `checks` refuses what cannot work; `chains` makes the jobs of one combination; `plan` holds them, `targets`
names their files; `finished` and `warnings` compare a plan with what exists.
"""

from cassle.plan.grids import resolve
from cassle.plan.plan import Plan

__all__ = ["Plan", "resolve"]
