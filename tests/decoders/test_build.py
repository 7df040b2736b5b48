"""Decoders built from their settings: every kind, what it can do, and combinations that are refused."""

import re

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attention.config import AttentionConfig
from attention.memory import Memory
from decoders.build import build_decoder, uses_summary
from decoders.config import (
    AttentionTransducerDecoderConfig,
    CTCDecoderConfig,
    DecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    SearchConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)
from decoders.ctc import CTC
from decoders.ensemble import Ensemble, EnsembleMemory
from decoders.joint_ctc import JointCTCAttention
from decoders.pointer_generator import PointerGenerator
from decoders.recurrent import RecurrentDecoder
from decoders.s2vt import S2VT
from decoders.transducer import Transducer
from decoders.transformer import TransformerDecoder

DIM, VOCAB = 4, 9
SMALL = {"hidden_dim": 8, "embedding_dim": 6}
GENERAL, NONE = AttentionConfig(score="general"), AttentionConfig(score="none")

# name: settings, attention, class, has_alignment, is_label_synchronous, supports_ensemble
KINDS = {
    "recurrent": (RecurrentDecoderConfig(**SMALL), GENERAL, RecurrentDecoder, True, True, True),
    "recurrent, fixed context": (RecurrentDecoderConfig(**SMALL), NONE, RecurrentDecoder, False, True, True),
    "transformer": (TransformerDecoderConfig(**SMALL), GENERAL, TransformerDecoder, True, True, True),
    "transformer, fixed context": (TransformerDecoderConfig(**SMALL), NONE, TransformerDecoder, False, True, True),
    "s2vt": (S2VTDecoderConfig(**SMALL), None, S2VT, False, True, True),
    "ctc": (CTCDecoderConfig(), None, CTC, True, False, False),
    "transducer": (TransducerDecoderConfig(**SMALL), None, Transducer, True, False, False),
    "transducer_attention": (
        AttentionTransducerDecoderConfig(**SMALL), GENERAL, Transducer, True, False, False,
    ),
    "copy": (RecurrentDecoderConfig(**SMALL, copy=True), GENERAL, PointerGenerator, True, True, True),
    "joint": (RecurrentDecoderConfig(**SMALL, ctc_weight=0.3), GENERAL, JointCTCAttention, True, True, True),
    "joint, fixed context": (
        RecurrentDecoderConfig(**SMALL, ctc_weight=0.3), NONE, JointCTCAttention, False, True, True,
    ),
    "joint copy": (
        TransformerDecoderConfig(**SMALL, copy=True, ctc_weight=0.3), GENERAL, JointCTCAttention, True, True, True,
    ),
}  # fmt: skip

every_kind = pytest.mark.parametrize("name", KINDS)


def build(config: DecoderConfig, attention: AttentionConfig | None, **choices):
    return build_decoder(config, attention, vocab_size=VOCAB, memory_dim=DIM, **choices).eval()


@pytest.fixture
def memory(make_memory) -> Memory:
    made = make_memory([5, 4, 6], DIM)
    return Memory(made.states, made.mask, made.summary, token_ids=torch.randint(4, VOCAB, made.mask.shape))


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.tensor([[2, 4, 5, 3], [2, 6, 3, 0], [2, 8, 7, 3]])


@every_kind
def test_every_kind_is_built_trained_and_searched(name, memory, tokens):
    config, attention, kind, *_ = KINDS[name]
    decoder = build(config, attention)
    assert type(decoder) is kind
    assert decoder.loss(tokens, memory).total.isfinite()
    assert all(decoder.search(memory, SearchConfig(beam=2, max_length=4)))


@every_kind
def test_a_search_in_bfloat16_scores_like_one_in_float32(name, memory):
    torch.manual_seed(1)
    decoder = build(*KINDS[name][:2])
    search = SearchConfig(beam=8, max_length=3)  # wide, so that roundings don't decide what is pruned
    with torch.autocast("cpu", dtype=torch.bfloat16):
        in_bfloat16 = decoder.search(memory, search)
    for found, expected in zip(in_bfloat16, decoder.search(memory, search), strict=True):
        assert found[0].score == pytest.approx(expected[0].score, abs=0.05)
        assert found[0].score != expected[0].score  # so it did compute in bfloat16


@every_kind
def test_the_negative_log_likelihood_is_the_loss_without_label_smoothing(name, memory, tokens):
    decoder = build(*KINDS[name][:2])
    plain = decoder.loss(tokens, memory)
    assert_close(plain.nll, plain.total)
    assert not plain.nll.requires_grad
    assert_close(decoder.loss(tokens, memory, label_smoothing=0.2).nll, plain.nll)


def test_the_negative_log_likelihood_is_without_the_losses_of_the_attention(memory, tokens):
    guided = build(RecurrentDecoderConfig(**SMALL), AttentionConfig(score="general", guidance_weight=1.0))
    loss = guided.loss(tokens, memory)
    assert_close(loss.nll, -guided.log_likelihood(tokens, memory).detach().sum())
    assert loss.total > loss.nll


@every_kind
def test_has_alignment_tells_if_there_are_weights(name, memory, tokens):
    config, attention, _, has_alignment, *_ = KINDS[name]
    decoder = build(config, attention)
    assert decoder.has_alignment == has_alignment
    assert (decoder.alignment(tokens, memory) is not None) == has_alignment


@every_kind
def test_is_label_synchronous_tells_if_there_is_a_log_likelihood(name, memory, tokens):
    config, attention, *_, is_label_synchronous, _ = KINDS[name]
    decoder = build(config, attention)
    assert decoder.is_label_synchronous == config.is_label_synchronous == is_label_synchronous
    if is_label_synchronous:
        assert decoder.log_likelihood(tokens, memory).shape == (3,)
    else:
        with pytest.raises(ValueError, match=r"is not label-synchronous .*, so it has no log_likelihood$"):
            decoder.log_likelihood(tokens, memory)


@every_kind
def test_supports_ensemble_tells_if_it_can_be_a_member(name, memory, tokens):
    config, attention, kind, *_, supports_ensemble = KINDS[name]
    decoder = build(config, attention)
    assert decoder.supports_ensemble == supports_ensemble
    if not supports_ensemble:
        with pytest.raises(ValueError, match=f"^decoders contains a {kind.__name__}, which cannot be a member"):
            Ensemble([decoder])
        return
    ensemble, memories = Ensemble([decoder, decoder]), EnsembleMemory.from_members([memory, memory])
    assert (ensemble.is_label_synchronous, ensemble.supports_ensemble, ensemble.has_alignment) == (True, True, False)
    assert ensemble.alignment(tokens, memories) is None
    assert ensemble.log_likelihood(tokens, memories).shape == (3,)


def test_an_ensemble_refuses_a_coverage_penalty(memory):
    decoder = build(*KINDS["recurrent"][:2])
    memories = EnsembleMemory.from_members([memory, memory])
    with pytest.raises(
        ValueError, match=r"^search\.coverage_penalty is 0\.2, which needs the weights of a single model"
    ):
        Ensemble([decoder, decoder]).search(memories, SearchConfig(coverage_penalty=0.2))


def test_a_given_embedding_is_used():
    embedding = nn.Embedding(VOCAB, 6)
    for config in (RecurrentDecoderConfig(**SMALL), TransformerDecoderConfig(**SMALL)):
        decoder = build(config, GENERAL, embedding=embedding)
        assert decoder.embedding is embedding
        assert decoder.output.weight is embedding.weight


def test_settings_are_passed_on():
    config = RecurrentDecoderConfig(
        **SMALL, cell="gru", num_layers=2, attention_order="bahdanau", input_feeding=True, init_state="zeros",
        readout="recurrent", context_gate=True, tie_embeddings=False, dropout=0.1,
    )  # fmt: skip
    attention = AttentionConfig(score="dot", selection="hard", guidance_weight=0.5)
    decoder = build_decoder(config, attention, vocab_size=VOCAB, memory_dim=8)
    assert isinstance(decoder, RecurrentDecoder)
    assert (decoder.cell.kind, decoder.cell.rnn.num_layers, decoder.cell.rnn.dropout) == ("gru", 2, 0.1)
    assert (decoder.attention_order, decoder.input_feeding, decoder.bridge) == ("bahdanau", True, None)
    assert decoder.context_gate is not None
    assert decoder.readout is not None and decoder.readout.kind == "gru"
    assert decoder.output.weight is not decoder.embedding.weight
    assert decoder.attention_losses.guidance == 0.5
    assert decoder.reinforce_loss is not None


@pytest.mark.parametrize("config", [S2VTDecoderConfig(), CTCDecoderConfig(), TransducerDecoderConfig()])
def test_attention_is_refused_by_decoders_without_it(config):
    with pytest.raises(ValueError, match=f"^decoder.kind is {config.kind}, which has no attention"):
        build(config, GENERAL)


@pytest.mark.parametrize(
    "config", [RecurrentDecoderConfig(), TransformerDecoderConfig(), AttentionTransducerDecoderConfig()]
)
def test_missing_attention_is_refused_by_decoders_with_it(config):
    with pytest.raises(ValueError, match=f"^decoder.kind is {config.kind}, which needs settings of attention"):
        build(config, None)


UNUSABLE = {
    "attention.estimator is reinforce, which needs the likelihood of each token": {"selection": "hard"},
    "attention.guidance_weight is 1.0, which decoder.kind transducer_attention cannot use": {"guidance_weight": 1.0},
    "attention.doubly_stochastic_weight is 1.0, which": {"doubly_stochastic_weight": 1.0},
    "attention.coverage_weight is 1.0, which": {"coverage_weight": 1.0},
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_attention_that_a_transducer_cannot_learn_is_refused(message):
    attention = AttentionConfig(score="general", **UNUSABLE[message])
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build(AttentionTransducerDecoderConfig(**SMALL), attention)
    assert build(RecurrentDecoderConfig(**SMALL), attention)


@pytest.mark.parametrize(
    "config_class, setting",
    [
        (CTCDecoderConfig, "hidden_dim"),
        (TransducerDecoderConfig, "attention_order"),
        (AttentionTransducerDecoderConfig, "copy"),
        (S2VTDecoderConfig, "cell"),
        (TransformerDecoderConfig, "input_feeding"),
        (RecurrentDecoderConfig, "positions"),
    ],
)
def test_a_setting_of_another_kind_is_refused(config_class, setting):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{setting}'"):
        config_class(**{setting: 1})


@pytest.mark.parametrize(
    "config_class, choices, message",
    [
        (RecurrentDecoderConfig, {"hidden_dim": 0}, "decoder.hidden_dim is 0; allowed is 1 or more"),
        (TransformerDecoderConfig, {"num_heads": 0}, "decoder.num_heads is 0; allowed is 1 or more"),
        (RecurrentDecoderConfig, {"ctc_weight": 1.0}, "decoder.ctc_weight is 1.0; allowed is at least 0 and below 1"),
        (S2VTDecoderConfig, {"embedding_dim": 0}, "decoder.embedding_dim is 0; allowed is 1 or more"),
    ],
)
def test_an_invalid_setting_is_refused_with_the_allowed_values(config_class, choices, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        config_class(**choices)


def test_only_recurrent_decoders_with_a_projection_use_the_summary():
    assert uses_summary(RecurrentDecoderConfig())
    assert uses_summary(AttentionTransducerDecoderConfig())
    assert not uses_summary(RecurrentDecoderConfig(init_state="zeros"))
    assert not any(map(uses_summary, [TransformerDecoderConfig(), CTCDecoderConfig(), TransducerDecoderConfig()]))
