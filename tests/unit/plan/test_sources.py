"""Paths of the workflow, and the commands that its jobs find."""

import os
import sys
from pathlib import Path

import pytest

from cassle.core.errors import SettingsError
from cassle.plan.sources import check_workflow_path, put_own_commands_first


def test_a_workflow_in_a_folder_that_snakemake_would_fill_in_is_refused():
    check_workflow_path("/home/me/it's $(mine)/workflow")
    with pytest.raises(SettingsError, match=r"^/home/{me}/workflow has braces in its path, which Snakemake formats"):
        check_workflow_path("/home/{me}/workflow")


def test_commands_of_this_environment_come_first(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    put_own_commands_first()
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}:/usr/bin:/bin"
