"""Without the network: names are told from paths, servers are given up at once, and the messages say what to do."""

import socket
import time
import urllib.error
from email.message import Message

import huggingface_hub
import pytest
import torch

from encoders.pretrained import downloads
from encoders.pretrained.image import load_image_model
from encoders.pretrained.speech import load_speech_model
from encoders.pretrained.video import is_video_model


@pytest.fixture(autouse=True)
def _no_network_and_an_empty_cache(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror("no name can be resolved")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    downloads.hub_fault.cache_clear()
    yield
    downloads.hub_fault.cache_clear()


@pytest.mark.parametrize(
    ("name", "is_path"),
    [
        ("Helsinki-NLP/opus-100", False),
        ("timm/resnet18.a1_in1k", False),
        ("gpt2", False),
        ("./pairs", True),
        ("../pairs", True),
        ("/data/pairs", True),
        ("~/pairs", True),
        ("pairs.csv", True),
        ("models/best.safetensors", True),
        ("data/de/en", True),
        ("pairs/", True),
        ("data\\pairs", True),
    ],
)
def test_what_can_only_be_a_path_is_told_from_a_hub_id(name, is_path):
    assert downloads.is_missing_path(name) == is_path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ada/toy", ("ada/toy", None, None)),
        ("ada/toy:de-en", ("ada/toy", "de-en", None)),
        ("ada/toy@v1.0", ("ada/toy", None, "v1.0")),
        ("ada/a.b-c_d:3.0.0@refs/convert/parquet", ("ada/a.b-c_d", "3.0.0", "refs/convert/parquet")),
    ],
)
def test_a_name_of_the_hub_is_split_and_joined_again(text, parts):
    name = downloads.HubName.parse(text)
    assert name == downloads.HubName(*parts) and str(name) == text


@pytest.mark.parametrize(
    "text", ["toy", "a/b/c", "/ada/toy", "./toy", "../toy", "ada/", "ada\\toy", "C:/toy", "ada/toy@"]
)
def test_a_path_is_no_name_of_the_hub(text):
    assert downloads.HubName.parse(text) is None


def test_a_path_that_exists_is_not_missing(tmp_path):
    assert not downloads.is_missing_path(str(tmp_path))


@pytest.mark.parametrize("load", [load_image_model, load_speech_model, is_video_model])
def test_without_a_hub_a_model_fails_at_once_and_the_error_says_what_to_do(load):
    started = time.monotonic()
    with pytest.raises(
        ValueError, match=r"can't be reached: .*name a folder, set HF_HOME .*, or HF_ENDPOINT"
    ) as caught:
        load("google/vit-base-patch16-224")
    assert time.monotonic() - started < 3
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", [load_image_model, load_speech_model, is_video_model])
def test_a_path_without_a_model_is_called_that(load, tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        load(str(tmp_path / "nothing"))


def test_weights_of_torchvision_without_a_server_are_named_with_their_place():
    with pytest.raises(ValueError, match=r"download\.pytorch\.org can't be reached .*TORCH_HOME"):
        load_image_model("torchvision:resnet18")


@pytest.mark.parametrize(
    ("name", "near"),
    [("torchvision:resnet81", "torchvision:resnet18"), ("timm/resnet18.a1_in2k", "timm/resnet18.a1_in1k")],
)
def test_a_misspelled_model_gets_its_near_match(name, near):
    with pytest.raises(ValueError, match=f"; did you mean {near}$"):
        load_image_model(name)


def test_a_server_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.05)
    assert downloads.fault_of(lambda: time.sleep(0.5)) == "no answer in 0.05 s"


def test_a_server_that_refuses_has_answered():
    def refuse() -> None:
        raise urllib.error.HTTPError("https://example.org", 403, "Forbidden", Message(), None)

    assert downloads.fault_of(refuse) is None
    assert downloads.fault_of(lambda: None) is None
