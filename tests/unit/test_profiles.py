"""The profiles of the workflow: each key is a flag of Snakemake or of a plugin, and what is meant to be equal is."""

from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

PROFILES = Path(__file__).parents[2] / "workflow" / "profiles"
NOT_INSTALLED = ("kubernetes-", "storage-s3-")
"""How keys of plugins begin that this project does not install; docs/running.md says how those were looked up."""
SHARED = ("keep-going", "rerun-incomplete", "show-failed-logs", "scheduler", "rerun-triggers", "max-checksum-file-size")


def profile(name):
    return yaml.safe_load((PROFILES / name / "config.yaml").read_text())


@pytest.mark.parametrize("name", ["default", "slurm", "kubernetes"])
def test_every_key_is_a_flag(name):
    flags = {flag.removeprefix("--") for action in get_argument_parser()._actions for flag in action.option_strings}
    assert [key for key in profile(name) if key not in flags and not key.startswith(NOT_INSTALLED)] == []


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_what_decides_whether_a_job_runs_again_is_the_same_everywhere(name):
    assert {key: profile(name)[key] for key in SHARED} == {key: profile("default")[key] for key in SHARED}


@pytest.mark.parametrize("rule", ["train_task", "probe_checkpoint"])
@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_the_twentieth_attempt_asks_for_what_a_cluster_can_give(name, rule):
    made = profile(name)
    asked = {**made["default-resources"], **made["set-resources"].get(rule, {})}
    first, twentieth = (
        {key: eval(str(asked[key]), {"attempt": attempt}) for key in ("mem_mb", "runtime") if key in asked}
        for attempt in (1, 20)
    )
    most = {key: value if rule.startswith("train") else 3 * value for key, value in first.items()}
    assert first["mem_mb"] == 16000
    assert twentieth == most
