"""A small study and its plan."""

from cassle.plan import RECIPES, Plan, resolve
from cassle.settings.reading import read_study

CONFIG = RECIPES.parent
GRID = {"streams": ["digits-domain3"], "objectives": ["simclr"], "strategies": ["finetune", "cassle"]}


def plan(**changes) -> Plan:
    """Return the plan of the small study with some of its settings changed."""
    return resolve(read_study({**GRID, **changes}))


def folders(made: Plan) -> set[str]:
    """Return the folders of all trainings."""
    return set(made.train)
