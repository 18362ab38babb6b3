"""From a study to its plan: every run, with its variants, tasks and paths, resolved once before anything runs.

Errors in the settings surface here, at the dry run. In reading order: `request` reads what a user typed; `grids` goes
through a study; `components`, `recipes`, `methods` and `probes` turn its choices into names, complete settings
and labels; `checks` refuses what cannot work; `chains` makes the jobs of one combination; `plan` holds them, `targets`
names their files; `finished` and `warnings` compare a plan with what exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cassle.plan.plan import Plan

if TYPE_CHECKING:
    from cassle.plan.grids import resolve

__all__ = ["Plan", "resolve"]


def __getattr__(name: str) -> Any:
    """Import `resolve`, and torch with it, only where it is used: a job of the workflow reads a plan file instead."""
    if name == "resolve":
        from cassle.plan.grids import resolve

        return resolve
    raise AttributeError(f"module {__name__} has no attribute {name}")
