"""Which GPUs there are: pretend programs and variables."""

import pytest

from cassle.runtime.gpus import BATCH_SYSTEMS, visible_devices
from tests.unit.machine import install_smi, smi_of_two_gpus


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """The folder of a machine's programs, to which no batch system and no variable speaks."""
    for name in (*BATCH_SYSTEMS, "CUDA_VISIBLE_DEVICES", "CASSLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_nothing_counts_from_the_first_invalid_name_on(monkeypatch):
    monkeypatch.setenv("CASSLE_DEVICES", "3,1,-1,0")
    assert visible_devices() == ["3", "1"]


def test_without_a_choice_all_devices_of_the_machine_count(machine):
    assert visible_devices() == []
    smi_of_two_gpus(machine)
    assert visible_devices() == ["GPU-aaaa1111-0000", "MIG-cccc3333-0000", "MIG-dddd4444-0000"]
    install_smi(machine, "echo 'NVIDIA-SMI has failed'; exit 9")
    assert visible_devices() == []
