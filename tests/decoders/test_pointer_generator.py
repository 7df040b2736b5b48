"""A decoder that copies: its probabilities are the published mixture, in training, in steps and in a beam."""

import math

import pytest
import torch
from decoders.config import RecurrentDecoderConfig
from torch import nn
from torch.testing import assert_close

from attention import coverage_loss
from decoders import PointerGenerator, RecurrentDecoder, SearchConfig, TransformerDecoder
from attention.memory import Memory
from tasks.common.config import AttentionConfig, Config, DecoderConfig
from tasks.common.model import build_decoder
from tasks.common.text.tokenizer import Tokenizer, VocabularyConfig

VOCAB, DIM = 11, 4
LENGTHS = [5, 2, 3]

every_writer = pytest.mark.parametrize("kind", ["attention", "transformer"])


def build(kind: str, **choices) -> PointerGenerator:
    decoding = DecoderConfig(kind=kind, copy=True, hidden=8, embedding=6, heads=2, dropout=0.0)
    config = Config(decoder=decoding, attention=AttentionConfig(score="general", **choices))
    decoder = build_decoder(nn.Embedding(VOCAB, 6), DIM, config)
    assert isinstance(decoder, PointerGenerator)
    return decoder.eval()


@pytest.fixture
def memory(make_memory) -> Memory:
    """Of texts in which some tokens stand twice; what is padding holds tokens too."""
    made = make_memory(LENGTHS, DIM)
    tokens = torch.tensor([[5, 6, 5, 7, 3], [8, 3, 9, 9, 9], [4, 4, 3, 9, 9]])
    return Memory(made.states, made.mask, made.summary, token_ids=tokens)


@every_writer
def test_probabilities_are_the_published_mixture(kind, memory):
    decoder, tokens = build(kind), torch.randint(VOCAB, (3, 4))
    found = decoder(tokens, memory).features.exp()
    readout = decoder.generator(tokens, memory)
    for row, length in enumerate(LENGTHS):
        for position in range(4):
            features = readout.features[row, position]
            context_gate = 1 / (1 + math.exp(-decoder.context_gate(features).item()))
            written = decoder.generator.logits(features).softmax(dim=-1).tolist()
            expected = [context_gate * each for each in written]
            for place in range(length):
                expected[memory.token_ids[row, place]] += (1 - context_gate) * readout.weights[row, position, place].item()
            assert_close(found[row, position].tolist(), expected, rtol=1e-4, atol=1e-6)
            assert sum(expected) == pytest.approx(1)


@every_writer
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_the_mixture_though_training_never_makes_it(kind, smoothing, memory):
    decoder = build(kind)
    tokens = torch.tensor([[2, 5, 6, 10, 3], [2, 8, 3, 0, 0], [2, 4, 9, 3, 0]])
    expected = 0.0
    readout, targets = decoder.generator(tokens[:, :-1], memory), tokens[:, 1:]
    mixed = decoder(tokens[:, :-1], memory).features
    written = decoder.generator.logits(readout.features).log_softmax(dim=-1)
    for row, position in (targets != 0).nonzero().tolist():
        right = mixed[row, position, targets[row, position]]
        expected -= (1 - smoothing) * right + smoothing * written[row, position].mean()
    assert_close(decoder.loss(tokens, memory, label_smoothing=smoothing), expected, rtol=1e-4, atol=1e-4)


@every_writer
def test_with_scheduled_sampling_the_loss_is_that_of_what_was_read(kind, memory):
    decoder, tokens = build(kind), torch.tensor([[2, 5, 6, 3], [2, 8, 3, 0], [2, 4, 9, 3]])
    readout = decoder.unroll(tokens[:, :-1], memory, teacher_forcing=0.0)
    right = readout.features.gather(2, tokens[:, 1:, None]).squeeze(2)[tokens[:, 1:] != 0]
    assert_close(decoder.loss(tokens, memory, teacher_forcing=0.0), -right.sum())


@every_writer
def test_steps_and_reordered_beams_equal_the_pass_from_scratch(kind, memory):
    decoder, tokens = build(kind), torch.randint(VOCAB, (3, 3))
    assert_close(decoder.unroll(tokens, memory).features, decoder(tokens, memory).features, rtol=1e-4, atol=1e-5)
    _, state = decoder.step(tokens[:, 0], decoder.start(memory))
    state = state.select(torch.tensor([[0, 0], [2, 2]]))  # the middle sentence is left out
    second = torch.randint(VOCAB, (4,))
    _, state = decoder.step(second, state)
    state = state.select(torch.tensor([[1, 0], [3, 3]]))
    third = torch.randint(VOCAB, (4,))
    readout, _ = decoder.step(third, state)
    sentences = torch.tensor([0, 0, 2, 2])
    history = torch.stack([tokens[sentences, 0], second[[1, 0, 3, 3]], third], dim=1)
    expected = decoder(history, memory.select(sentences)).features[:, -1:]
    assert_close(readout.features, expected, rtol=1e-4, atol=1e-5)


@every_writer
def test_gradients_reach_every_parameter_and_drawn_looks_learn(kind, memory):
    memory = Memory(memory.states.clamp(-3, 3), memory.mask, memory.summary, token_ids=memory.token_ids)
    for decoder in (build(kind), build(kind, area="hard"), build(kind, coverage=1.0, guidance=1.0)):
        decoder.train().loss(torch.tensor([[2, 5, 6, 3], [2, 8, 10, 3], [2, 4, 9, 3]]), memory).backward()
        unreached = [
            name for name, weight in decoder.named_parameters() if weight.grad is None or not weight.grad.any()
        ]
        assert unreached == []


def test_what_attention_looks_at_can_be_written_though_the_vocabulary_would_never(memory):
    decoder = build("attention")
    with torch.no_grad():
        decoder.context_gate.bias.fill_(-20.0)  # all is copied
    found = decoder.search(memory, SearchConfig(beam=3, max_length=6))
    for ranked, tokens, length in zip(found, memory.token_ids.tolist(), LENGTHS, strict=True):
        assert set(ranked[0].tokens) <= set(tokens[:length])


def test_coverage_costs_the_smaller_of_what_is_looked_at_and_what_was():
    weights = torch.tensor([[[0.7, 0.3, 0.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    words = torch.tensor([[True, True, True, False]])
    assert_close(coverage_loss(weights, words), torch.tensor(0.0 + 0.5 + 1.0))


def test_what_cannot_be_copied_is_refused_in_one_line():
    attention = AttentionConfig(score="none")
    with pytest.raises(ValueError, match=r"--decoder\.copy goes by where attention looks"):
        build_decoder(
            nn.Embedding(VOCAB, 6), DIM, Config(decoder=RecurrentDecoderConfig(copy=True), attention=attention)
        )


def test_tokens_mean_what_is_written_alike_in_the_others_vocabulary():
    config = VocabularyConfig(kind="word", size=20, min_frequency=1)
    left, right = Tokenizer.train(["a red cat"], config), Tokenizer.train(["a green cat"], config)
    a, red, cat = left.encode(["a red cat"])[0]
    meanings = left.ids_in(right).tolist()
    assert [meanings[a], meanings[cat]] == right.encode(["a cat"])[0]
    assert meanings[red] == 1
    assert meanings[:4] == [0, 1, 2, 3]


def test_writers_keep_their_own_losses():
    assert build("attention", guidance=2.0).attention_losses.guidance == 2.0
    assert isinstance(build("attention").generator, RecurrentDecoder)
    assert isinstance(build("transformer").generator, TransformerDecoder)
