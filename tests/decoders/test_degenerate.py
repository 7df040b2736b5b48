"""The smallest sentences, sources and vocabularies: every decoder trains on them, searches and aligns without a NaN."""

import math

import pytest
import torch
from torch import Tensor

from attention.config import AttentionConfig
from attention.memory import Memory
from decoders.base import BOS, EOS, PAD, UNK, Decoder
from decoders.build import build_decoder
from decoders.config import (
    AttentionTransducerDecoderConfig,
    CTCDecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    SearchConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)

DIM, VOCAB = 4, 9
SMALL = {"hidden_dim": 8, "embedding_dim": 6}
GENERAL = AttentionConfig(score="general")
GUIDED = AttentionConfig(score="general", guidance_weight=1.0, doubly_stochastic_weight=1.0, coverage_weight=1.0)
MONOTONIC = AttentionConfig(score="location", locality="monotonic", hierarchy="hierarchical", segment_size=2)

KINDS = {
    "recurrent": (RecurrentDecoderConfig(**SMALL), GENERAL),
    "recurrent, input feeding": (RecurrentDecoderConfig(**SMALL, input_feeding=True), GUIDED),
    "recurrent, Bahdanau's order": (RecurrentDecoderConfig(**SMALL, attention_order="bahdanau"), MONOTONIC),
    "recurrent, hard attention": (RecurrentDecoderConfig(**SMALL), AttentionConfig(score="general", selection="hard")),
    "recurrent, fixed context": (RecurrentDecoderConfig(**SMALL), AttentionConfig(score="none")),
    "transformer": (TransformerDecoderConfig(**SMALL, num_heads=2), GENERAL),
    "transformer, learned positions": (TransformerDecoderConfig(**SMALL, num_heads=2, positions="learned"), GENERAL),
    "s2vt": (S2VTDecoderConfig(**SMALL), None),
    "ctc": (CTCDecoderConfig(), None),
    "transducer": (TransducerDecoderConfig(**SMALL), None),
    "transducer_attention": (AttentionTransducerDecoderConfig(**SMALL), GENERAL),
    "copy": (RecurrentDecoderConfig(**SMALL, copy=True), GENERAL),
    "joint": (RecurrentDecoderConfig(**SMALL, ctc_weight=0.3), GENERAL),
    "joint copy": (TransformerDecoderConfig(**SMALL, num_heads=2, copy=True, ctc_weight=0.3), GENERAL),
}

# name: the lengths of the sources, the target sentences, the size of the vocabulary
CASES = {
    "targets of one token": ([5, 4], [[4], [5]], VOCAB),
    "empty targets": ([5, 4], [[], []], VOCAB),
    "an empty target beside a longer one": ([5, 4], [[], [4, 5, 6]], VOCAB),
    "sources of one state": ([1, 1], [[4], [5]], VOCAB),
    "more tokens than states, and repeated ones": ([2, 1], [[4, 4, 4, 5], [4, 5, 4]], VOCAB),
    "targets of padding alone": ([5, 4], [None, None], VOCAB),
    "labels of which most never occur": ([5, 4], [[4], [4]], 500),
    "a vocabulary of special tokens": ([5, 4], [[], [UNK]], 4),
    "a vocabulary of one word": ([5, 4], [[4], [4, 4]], 5),
}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_case = pytest.mark.parametrize("case", CASES)


def build(kind: str, vocab_size: int) -> Decoder:
    config, attention = KINDS[kind]
    return build_decoder(config, attention, vocab_size=vocab_size, memory_dim=DIM)


def batch_of(case: str, make_memory) -> tuple[Tensor, Memory, int]:
    """The padded targets of a case between BOS and EOS, their memory, and the size of the vocabulary."""
    lengths, sentences, vocab_size = CASES[case]
    framed = [[] if sentence is None else [BOS, *sentence, EOS] for sentence in sentences]
    longest = max(2, *map(len, framed))
    tokens = torch.tensor([[*sentence, *[PAD] * (longest - len(sentence))] for sentence in framed])
    memory = make_memory(lengths, DIM)
    token_ids = torch.randint(UNK, vocab_size, memory.mask.shape)
    return tokens, Memory(memory.states.requires_grad_(), memory.mask, memory.summary, token_ids=token_ids), vocab_size


@every_kind
@every_case
def test_losses_and_gradients_are_finite(case, kind, make_memory):
    tokens, memory, vocab_size = batch_of(case, make_memory)
    decoder = build(kind, vocab_size).train()
    loss = decoder.loss(tokens, memory, label_smoothing=0.1)
    assert loss.total.isfinite() and loss.nll.isfinite()
    loss.total.backward()
    gradients = [parameter.grad for parameter in decoder.parameters()] + [memory.states.grad]
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@every_kind
@every_case
def test_a_search_finds_a_sentence_of_what_the_vocabulary_has(case, kind, make_memory):
    _, memory, vocab_size = batch_of(case, make_memory)
    decoder = build(kind, vocab_size).eval()
    found = decoder.search(memory, SearchConfig(beam=3, n_best=3, max_length=3))
    if kind == "ctc":  # has another search for one hypothesis
        found += decoder.search(memory, SearchConfig(beam=1, n_best=1, max_length=3))
    if decoder.is_label_synchronous:
        found += decoder.search(memory, SearchConfig(sample=True, n_best=2, max_length=3))
    for hypotheses in found:
        assert hypotheses
        assert all(math.isfinite(hypothesis.score) for hypothesis in hypotheses)
        words = {token for hypothesis in hypotheses for token in hypothesis.tokens}
        assert words <= set(range(EOS + 1, vocab_size))


@every_kind
@every_case
def test_alignments_are_finite_and_sentences_without_words_have_no_spans(case, kind, make_memory):
    tokens, memory, vocab_size = batch_of(case, make_memory)
    decoder = build(kind, vocab_size).eval()
    with torch.no_grad():
        weights = decoder.alignment(tokens, memory)
        spans = decoder.state_spans(tokens, torch.full_like(tokens, -1), memory)
        if decoder.is_label_synchronous:
            assert decoder.log_likelihood(tokens, memory).isfinite().all()
    assert weights is None or weights.isfinite().all()
    assert spans is None or spans.shape == (len(tokens), 0, 2)


@every_kind
def test_a_source_without_any_state_is_refused_by_its_row(kind, make_memory):
    memory = make_memory([3, 1], DIM)
    mask = memory.mask & torch.tensor([[True], [False]])
    with pytest.raises(
        ValueError, match=r"^the mask is False everywhere in row 1 of 2: each source needs at least one"
    ):
        build(kind, VOCAB).loss(torch.tensor([[2, 4, 3]] * 2), Memory(memory.states, mask, memory.summary))
