"""A real Slurm of one node on this machine, for as long as the tests run."""

import subprocess
from pathlib import Path

import pytest

ONE_NODE = str(Path(__file__).with_name("one_node.sh"))


@pytest.fixture(scope="session")
def slurm():
    """Start Slurm, installed if missing; it and its jobs always end with the tests."""
    try:
        up = subprocess.run([ONE_NODE, "up"], capture_output=True, text=True, timeout=900)
        assert up.returncode == 0, up.stdout + up.stderr
        yield
    finally:
        subprocess.run([ONE_NODE, "down"], check=True, timeout=180)
