"""Device and precision: chosen by what a machine can do, refused in the user's words."""

import inspect

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.training.precision import resolve_device, resolve_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def machine(monkeypatch):
    """Pretends a machine: without a GPU, or with one whose bf16 is computed in hardware, emulated or absent."""

    def pretend(gpu=False, bf16="absent"):
        def supported(including_emulation=True):
            return bf16 == "hardware" or (bf16 == "emulated" and including_emulation)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int(gpu))
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pretend()
    return pretend


def test_the_pretended_question_is_the_one_torch_answers():
    assert "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters


def test_a_machine_without_a_gpu_works_on_its_cpu(machine):
    assert resolve_device("auto") == resolve_device("cpu") == CPU


def test_each_process_of_a_training_has_a_gpu_of_its_own(machine, monkeypatch):
    machine(gpu=True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert resolve_device("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(SettingsError, match="process 2 of this training has no GPU, as 2 are visible"):
        resolve_device("auto")


def test_a_gpu_that_is_not_there_is_refused_with_what_to_do(machine):
    with pytest.raises(SettingsError, match=r"execution\.device is 'cuda' but no GPU is visible.*use 'auto' or 'cpu'"):
        resolve_device("cuda")


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
@pytest.mark.parametrize(("cuda", "built"), [("13.0", "for CUDA 13.0"), (None, "without CUDA")])
def test_a_leased_gpu_that_torch_cannot_use_ends_the_job_with_what_to_do(machine, monkeypatch, wanted, cuda, built):
    def refuse():
        raise RuntimeError("The NVIDIA driver on your system is too old\n(found version 12020).")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1a,GPU-2b")
    with pytest.raises(SettingsError) as refused:
        resolve_device(wanted)
    said = str(refused.value)
    assert f"this job holds GPU GPU-1a,GPU-2b, but torch {torch.__version__}, built {built}, cannot use it" in said
    assert ": The NVIDIA driver on your system is too old (found version 12020). Update the driver, install" in said
    assert "execution={device: cpu}" in said
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("shown", ["", "-1", "none"])
def test_a_job_that_was_shown_no_gpu_works_on_the_cpu(machine, monkeypatch, shown):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert resolve_device("auto") == CPU


def test_a_visible_gpu_is_used_unless_the_cpu_is_asked_for(machine):
    machine(gpu=True)
    assert resolve_device("auto") == resolve_device("cuda") == CUDA
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("bf16", ["hardware", "emulated", "absent"])
def test_auto_is_fp32_on_a_cpu_whatever_the_gpu_can_do(machine, bf16):
    machine(gpu=True, bf16=bf16)
    assert resolve_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(("bf16", "expected"), [("hardware", "bf16"), ("emulated", "fp32"), ("absent", "fp32")])
def test_auto_is_bf16_on_a_gpu_only_where_hardware_computes_it(machine, bf16, expected):
    machine(gpu=True, bf16=bf16)
    assert resolve_precision("auto", CUDA) == expected


def test_half_precision_on_a_cpu_is_refused_with_what_to_do(machine):
    with pytest.raises(SettingsError, match=r"execution\.precision is 'fp16', which needs a GPU; use 'auto' or 'fp32'"):
        resolve_precision("fp16", CPU)


@pytest.mark.parametrize("bf16", ["hardware", "absent"])
@pytest.mark.parametrize(
    ("wanted", "device"), [("fp32", CPU), ("bf16", CPU), ("fp32", CUDA), ("bf16", CUDA), ("fp16", CUDA)]
)
def test_a_precision_that_is_asked_for_is_used(machine, wanted, device, bf16):
    machine(gpu=True, bf16=bf16)
    assert resolve_precision(wanted, device) == wanted
