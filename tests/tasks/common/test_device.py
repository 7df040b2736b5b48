"""The flag --device, and Apple's GPUs where a decoder can't use them."""

import os

import pytest
import torch

from decoders.config import (
    CTCDecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
    supports_mps,
)
from tasks import run
from tasks.common import device
from tasks.common.errors import UsageError


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """A machine with two CUDA devices and no choice."""
    monkeypatch.setenv(device.VARIABLE, "")
    monkeypatch.delenv(device.VARIABLE)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("typed", [["--device", "cuda:1"], ["--device=cuda:1"]])
def test_the_device_is_taken_from_the_arguments(typed):
    arguments = ["translation", "predict", "runs/a", *typed, "a sentence"]
    assert device.take_device(arguments) == ["translation", "predict", "runs/a", "a sentence"]
    assert os.environ[device.VARIABLE] == "cuda:1"


@pytest.mark.parametrize("name", ["cuda:2", "mps", "gpu", ""])
def test_a_device_that_does_not_exist_is_refused_with_those_that_do(name, capsys):
    with pytest.raises(SystemExit) as caught:
        run.main(["translation", "train", "tiny", "--device", name])
    assert caught.value.code == 2
    expected = f"error: --device {name}: there is no such device; this machine has cpu, cuda, cuda:0, cuda:1\n"
    assert capsys.readouterr().err == expected


def test_several_processes_have_a_device_each(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="each of several processes"):
        device.use_device("cuda:1")


def test_several_processes_without_gpus_are_told_how_to_use_the_cpu(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="no GPU: set ACCELERATE_USE_CPU=true"):
        device.process_state()


@pytest.fixture
def _apple(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("mps"))


@pytest.mark.usefixtures("_apple")
def test_without_ctc_and_float64_an_apple_gpu_is_used_and_otherwise_the_cpu_which_is_said(capsys):
    assert device.find_device(supports_mps=True).type == "mps"
    assert capsys.readouterr().err == ""
    assert device.find_device(supports_mps=False).type == "cpu"
    assert "computing on the CPU: CTC and transducers" in capsys.readouterr().err


@pytest.mark.usefixtures("_apple")
def test_an_apple_gpu_that_was_named_and_cannot_be_used_is_an_error():
    device.use_device("mps")
    assert device.find_device(supports_mps=True).type == "mps"
    with pytest.raises(UsageError, match=r"^--device mps: .*; name cpu, or leave it out$"):
        device.find_device(supports_mps=False)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (RecurrentDecoderConfig(), True),
        (TransformerDecoderConfig(), True),
        (S2VTDecoderConfig(), True),
        (RecurrentDecoderConfig(ctc_weight=0.3), False),
        (TransformerDecoderConfig(ctc_weight=0.3), False),
        (CTCDecoderConfig(), False),
        (TransducerDecoderConfig(), False),
    ],
)
def test_decoders_without_ctc_and_lattices_support_apple_gpus(config, expected):
    assert supports_mps(config) == expected
