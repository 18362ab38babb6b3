"""Where the workflow lies, and which commands its jobs find."""

import os
import sys
from pathlib import Path

import pytest

from cassle.contracts.layout import check_place, find_own_commands
from cassle.core.errors import SettingsError


def test_a_workflow_in_a_folder_that_snakemake_would_fill_in_is_refused():
    check_place("/home/me/it's $(mine)/workflow")
    with pytest.raises(SettingsError, match=r"^/home/{me}/workflow lies in a folder with braces in its name"):
        check_place("/home/{me}/workflow")


def test_commands_of_this_environment_come_first(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    find_own_commands()
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}:/usr/bin:/bin"
