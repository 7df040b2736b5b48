"""A training step never waits for the device, and a search once for each token.

Operations whose result has to be known on the host, be it a number or the size of a tensor, make a program wait for
its GPU. They are the same operations on a CPU, where they are counted here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tasks
from attention.config import AttentionConfig
from decoders.config import (
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    SearchConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)
from tasks.common.data.batching import Batch
from tasks.common.model import Seq2Seq
from tasks.common.training.optimization import build_optimizer

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal"}
HOST_DATA = "lift_fresh"  # a tensor made of numbers of the host, copied from memory that a GPU can't read by itself


class Synchronizations(TorchDispatchMode):
    """Records the operations that wait for a GPU.

    Attributes:
        found: Their names, in order.
    """

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        is_waiting = name in WAITING or (name == HOST_DATA and args[0].dim() > 0)  # a number alone is no copy
        if name == "index":
            is_waiting = any(index.dtype == torch.bool for index in args[1] if index is not None)
        if is_waiting:
            self.found.append(name)
        return func(*args, **kwargs or {})


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the check of masks, which is made on a CPU alone."""
    for module in ("attention.memory", "encoders.base"):
        monkeypatch.setattr(f"{module}.check_mask", lambda mask: None)


@pytest.fixture(scope="module")
def make(
    tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]
) -> Callable[..., tuple[Seq2Seq, Batch, Any]]:
    """Make the model of a task's tiny preset, with a batch and its configuration; data are read once for all tests."""
    folder = tmp_path_factory.mktemp("data")
    save_text_pairs(folder, train=8, validation=2)
    loaded: dict[str, Any] = {}

    def make(name: str, **changes: Any) -> tuple[Seq2Seq, Batch, Any]:
        package = tasks.package(name)
        data = {"data": str(folder)} if name == "translation" else {"num_scenes": 8}
        config = replace(package.PRESETS["tiny"](), **data, **changes)
        task = tasks.task_class(name)(config)
        if name not in loaded:
            loaded[name] = task.load("train").select(range(8))
        task.fit(loaded[name])
        return task.build_model(), task.collate(loaded[name], list(range(8)), training=True), config

    return make


def recurrent(**changes: Any) -> RecurrentDecoderConfig:
    return RecurrentDecoderConfig(hidden_dim=16, embedding_dim=16, **changes)


STEPS = {
    "text": ("translation", {}),
    "sound": ("speech_recognition", {"decoder": recurrent()}),
    "images": ("image_captioning", {}),
    "videos": ("video_to_text", {}),
    "Transformer": ("translation", {"decoder": TransformerDecoderConfig(hidden_dim=16, num_heads=2)}),
    "copying": ("translation", {"decoder": recurrent(copy=True)}),
    "input feeding": ("translation", {"decoder": recurrent(input_feeding=True)}),
    "transducer": ("speech_recognition", {"decoder": TransducerDecoderConfig(hidden_dim=16), "attention": None}),
    "hard attention": ("translation", {"attention": AttentionConfig(selection="hard")}),
    "several heads": ("translation", {"attention": AttentionConfig(num_heads=2, hidden_dim=16)}),
    "monotonic": ("translation", {"attention": AttentionConfig(score="location", locality="monotonic")}),
    # PyTorch's CTC reads the lengths on the host, and so does its LSTM for sequences of different lengths.
    "sound with CTC": ("speech_recognition", {"decoder": recurrent(ctc_weight=0.5)}),
    "S2VT": ("video_to_text", {"decoder": S2VTDecoderConfig(hidden_dim=16), "attention": None}),
    # The sentences of a text are counted.
    "hierarchical": ("translation", {"attention": AttentionConfig(hierarchy="hierarchical")}),
}
ALLOWED = {
    "sound with CTC": {"index"},
    "S2VT": {"_local_scalar_dense"},
    "hierarchical": {"_local_scalar_dense"},
}


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_does_not_wait(name: str, make: Callable[..., tuple[Seq2Seq, Batch, Any]]):
    task, changes = STEPS[name]
    model, batch, config = make(task, **changes)
    optimizer = build_optimizer(model, config.train)
    model.train()
    batch = batch.to(torch.device("cpu"))
    with Synchronizations() as waiting:
        loss = model(batch, label_smoothing=0.1)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert set(waiting.found) == ALLOWED.get(name, set())


@pytest.mark.parametrize("name", ["text", "images", "Transformer", "copying"])
def test_a_search_waits_once_for_each_token(name: str, make: Callable[..., tuple[Seq2Seq, Batch, Any]]):
    task, changes = STEPS[name]
    model, batch, _ = make(task, **changes)
    model.eval()
    with torch.inference_mode():
        source = batch.source.to(torch.device("cpu"))
        with Synchronizations() as waiting:
            model.decoder.search(model.encoder(source), SearchConfig(beam=3, max_length=7, no_repeat_ngram=2))
    assert 1 <= len(waiting.found) <= 8
    assert set(waiting.found) == {"nonzero"}
