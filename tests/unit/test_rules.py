"""Rules of the workflow: whatever names one names one that exists."""

import re
from pathlib import Path

import yaml

from cassle.cost.estimate import COLLECTED, COSTLY
from cassle.plan import targets
from tests.unit.plan.world import plan

ROOT = Path(__file__).parents[2]
DEFINED = re.compile(r"^(?:rule (\w+)|use rule \w+ as (\w+))\b", re.MULTILINE)
TARGETS = {"all", "tables", "figures", "report"}


def rules() -> set[str]:
    """Return the names of all rules."""
    files = [ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    return {name or copied for file in files for name, copied in DEFINED.findall(file.read_text())}


def test_one_rule_trains_every_task():
    assert [name for name in rules() if name.startswith("train_")] == ["train_task"]


def test_a_plan_counts_jobs_of_each_rule():
    made = plan(strategies=["finetune", "er"], probes=["knn"], figures=["bars"], features=["pca"])
    assert set(targets.jobs(made)) == rules() - TARGETS - {"write_report"}


def test_cost_and_status_name_rules_that_exist():
    assert {*COSTLY, *COLLECTED, *targets.LOGS} <= rules()


def test_profiles_name_rules_that_exist():
    for file in (ROOT / "workflow/profiles").glob("*/config.yaml"):
        profile = yaml.safe_load(file.read_text())
        named = {rule for key in ("set-resources", "set-threads") for rule in profile.get(key, {})}
        assert named <= rules(), file


def test_pages_name_rules_that_exist():
    code = "".join(file.read_text() for file in (ROOT / "cassle").rglob("*.py"))
    verbs = "|".join(sorted({name.partition("_")[0] for name in rules() - TARGETS}))
    for page in [ROOT / "README.md", ROOT / "config/README.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(rf"`((?:{verbs})_[a-z_]+)`", page.read_text()))
        assert {name for name in named - rules() if not re.search(rf"\b{name}\b", code)} == set(), page
