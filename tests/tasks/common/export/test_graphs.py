"""Graphs compute what PyTorch computes, for any number of sources and hypotheses and for any length."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attention.config import AttentionConfig
from decoders.base import EOS, PAD
from decoders.build import build_decoder
from decoders.config import CTCDecoderConfig, DecoderConfig, RecurrentDecoderConfig, TransformerDecoderConfig
from encoders.base import SourceBatch
from encoders.recurrent import RecurrentEncoder
from encoders.speech import ConvSubsampling, SpeechEncoder
from encoders.text import TextEncoder, TokenEmbedding
from tasks.common.errors import UsageError
from tasks.common.export.convert import run_graph
from tasks.common.export.graphs import StateForm
from tasks.common.export.inputs import example_mask
from tasks.common.export.model import export_model
from tasks.common.export.tensors import tensors_of, with_tensors
from tasks.common.model import Seq2Seq

VOCAB, DIM = 12, 8


def text_model(config: DecoderConfig, attention: AttentionConfig | None, cell: str = "lstm") -> Seq2Seq:
    frontend = TokenEmbedding(nn.Embedding(VOCAB, 6, padding_idx=PAD))
    layers = RecurrentEncoder(6, DIM // 2, cell=cell, num_layers=2)  # type: ignore[arg-type]
    encoder = TextEncoder(frontend, layers, sentence_end_ids=[5])
    return Seq2Seq(encoder, build_decoder(config, attention, vocab_size=VOCAB, memory_dim=DIM)).eval()


def texts(lengths: list[int]) -> SourceBatch:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    values = torch.randint(EOS, VOCAB, mask.shape)
    return SourceBatch(torch.where(mask, values, PAD), mask)


def speech_model(config: DecoderConfig, attention: AttentionConfig | None) -> Seq2Seq:
    frontend = ConvSubsampling(7, 4, 1)
    encoder = SpeechEncoder(
        frontend,
        lambda dim, layers, _: RecurrentEncoder(dim, DIM // 2, num_layers=layers),
        num_layers=2,
        pyramid_layers=1,
    )
    return Seq2Seq(encoder, build_decoder(config, attention, vocab_size=VOCAB, memory_dim=DIM)).eval()


def recordings(lengths: list[int]) -> SourceBatch:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return SourceBatch(torch.randn(*mask.shape, 7) * mask[..., None], mask)


def to_numpy(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


SMALL = {"hidden_dim": DIM, "embedding_dim": 6, "dropout": 0.0}
EXAMPLE = SourceBatch(torch.where(example_mask(32), 4, PAD), example_mask(32))
STEPWISE = {
    "location, joint with CTC": text_model(
        RecurrentDecoderConfig(**SMALL, ctc_weight=0.3), AttentionConfig(score="location", hidden_dim=5)
    ),
    "monotonic heads, Bahdanau's order, input feeding, a recurrent readout, copying": text_model(
        RecurrentDecoderConfig(
            **SMALL,
            cell="gru",
            attention_order="bahdanau",
            input_feeding=True,
            readout="recurrent",
            context_gate=True,
            copy=True,
        ),
        AttentionConfig(score="coverage", locality="monotonic", num_heads=2, hidden_dim=6),
        cell="gru",
    ),
}


@pytest.mark.parametrize("name", STEPWISE)
def test_steps_of_a_search_equal_those_of_pytorch(name: str, tmp_path: Path):
    model = STEPWISE[name]
    export_model(model, EXAMPLE, tmp_path)
    source = texts([9, 23, 1])  # with padding
    with torch.no_grad():
        state = model.decoder.init_state(model.encoder(source))
        form = StateForm.find(state, 3)
        found = run_graph(tmp_path / "encoder.onnx", to_numpy(tensors_of(source)))
        state = state.reorder(torch.arange(3)[:, None].expand(-1, 5))
        arrays = {
            key: value if form.layouts[key].is_shared else value.repeat(5, axis=1) for key, value in found.items()
        }
        for _ in range(4):  # what differs in a step is an input of the next
            tokens = torch.randint(EOS, VOCAB, (3, 5))
            output, state = model.decoder.step(tokens.flatten(), state)
            scores = model.decoder.next_token_scores(output.features[:, 0])
            found = run_graph(tmp_path / "decoder.onnx", arrays | {"tokens": tokens.numpy()})
            np.testing.assert_allclose(found["log_probs"].reshape(15, -1), scores, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(found["weights"].reshape(15, -1), output.weights[:, 0], rtol=0, atol=1e-5)
            rows = torch.arange(15).view(3, 5).flip(1)
            state = state.reorder(rows)
            arrays |= {key[5:]: np.flip(value, axis=1) for key, value in found.items() if key.startswith("next_")}


def test_frames_of_ctc_equal_those_of_pytorch(tmp_path: Path):
    model = speech_model(CTCDecoderConfig(dropout=0.0), None)
    export_model(model, SourceBatch(torch.randn(2, 160, 7), example_mask(160)), tmp_path)
    source = recordings([30, 7, 44])
    found = run_graph(tmp_path / "encoder.onnx", to_numpy(tensors_of(source)))
    with torch.no_grad():
        memory = model.encoder(source)
        expected = model.decoder.log_probs(memory).numpy()
    assert (found["frame_mask"] == memory.mask.numpy()).all()
    real = memory.mask.numpy()
    np.testing.assert_allclose(found["log_probs"][real], expected[real], rtol=1e-5, atol=1e-5)
    assert not (tmp_path / "decoder.onnx").exists()


def test_a_decoder_without_a_form_is_refused(tmp_path: Path):
    config = TransformerDecoderConfig(hidden_dim=DIM, embedding_dim=6, num_layers=1, num_heads=2, dropout=0.0)
    model = text_model(config, AttentionConfig(score="dot"))
    with pytest.raises(UsageError, match="TransformerDecoder, which can't be exported; allowed are"):
        export_model(model, texts([5, 3]), tmp_path)


def test_a_computation_that_cannot_be_traced_is_refused(tmp_path: Path):
    class DataDependent(TextEncoder):
        def forward(self, source: SourceBatch):
            if source.values.sum() == 0:
                raise ValueError("nothing to encode")
            return super().forward(source)

    model = text_model(RecurrentDecoderConfig(**SMALL), AttentionConfig(score="dot"))
    model.encoder.__class__ = DataDependent
    with pytest.raises(UsageError, match="encoder: its computation can't be made a graph"):
        export_model(model, EXAMPLE, tmp_path)


def test_tensors_are_named_by_their_place():
    source = SourceBatch(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), others=(texts([3, 2]),))
    tensors = tensors_of(source)
    assert [*tensors] == ["values", "mask", "others.0.values", "others.0.mask"]
    other = with_tensors(source, {name: tensor + 1 for name, tensor in tensors.items()})
    assert (other.values == 1).all() and (other.others[0].values == source.others[0].values + 1).all()
    assert not other.precomputed and other.token_ids is None
