"""Pointer-generator: its probabilities are the published mixture, in training, in steps and in a beam."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attention.config import AttentionConfig
from attention.fixed_context import FixedContext
from attention.losses import coverage_loss
from attention.memory import Memory
from decoders.base import BOS, EOS, PAD, UNK
from decoders.build import build_decoder
from decoders.config import RecurrentDecoderConfig, SearchConfig, TransformerDecoderConfig
from decoders.pointer_generator import PointerGenerator, copy_weights
from decoders.recurrent import RecurrentDecoder
from decoders.transformer import TransformerDecoder
from tasks.common.text.config import VocabularyConfig
from tasks.common.text.tokenizer import Tokenizer

VOCAB, DIM = 11, 4
LENGTHS = [5, 2, 3]

every_generator = pytest.mark.parametrize("kind", ["recurrent", "transformer"])


def build(kind: str, **choices) -> PointerGenerator:
    config_class = RecurrentDecoderConfig if kind == "recurrent" else TransformerDecoderConfig
    config = config_class(copy=True, hidden_dim=8, embedding_dim=6, dropout=0.0)
    attention = AttentionConfig(score="general", **choices)
    decoder = build_decoder(config, attention, vocab_size=VOCAB, memory_dim=DIM, embedding=nn.Embedding(VOCAB, 6))
    assert isinstance(decoder, PointerGenerator)
    return decoder.eval()


@pytest.fixture
def memory(make_memory) -> Memory:
    """Make the memory of texts with repeated tokens; padding has tokens too."""
    made = make_memory(LENGTHS, DIM)
    tokens = torch.tensor([[5, 6, 5, 7, 3], [8, 3, 9, 9, 9], [4, 4, 3, 9, 9]])
    return Memory(made.states, made.mask, made.summary, token_ids=tokens)


@every_generator
def test_probabilities_are_the_published_mixture(kind, memory):
    decoder, tokens = build(kind), torch.randint(VOCAB, (3, 4))
    found = decoder(tokens, memory).features.exp()
    output = decoder.generator(tokens, memory)
    for row, length in enumerate(LENGTHS):
        for position in range(4):
            features = output.features[row, position]
            gate = 1 / (1 + math.exp(-decoder.copy_gate(features).item()))
            generated = decoder.generator.logits(features).softmax(dim=-1).tolist()
            expected = [gate * each for each in generated]
            copyable = [at for at in range(length) if memory.token_ids[row, at] != EOS]
            total = output.weights[row, position, copyable].sum().item()
            for at in copyable:
                expected[memory.token_ids[row, at]] += (1 - gate) * output.weights[row, position, at].item() / total
            assert_close(found[row, position].tolist(), expected, rtol=1e-4, atol=1e-6)
            assert sum(expected) == pytest.approx(1)


@every_generator
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_the_mixture_although_training_never_computes_it(kind, smoothing, memory):
    decoder = build(kind)
    tokens = torch.tensor([[2, 5, 6, 10, 3], [2, 8, 3, 0, 0], [2, 4, 9, 3, 0]])
    expected = 0.0
    mixed, targets = decoder(tokens[:, :-1], memory).features, tokens[:, 1:]
    for row, position in (targets != 0).nonzero().tolist():
        log_probs = mixed[row, position, targets[row, position]]
        expected -= (1 - smoothing) * log_probs + smoothing * mixed[row, position].mean()
    assert_close(decoder.loss(tokens, memory, label_smoothing=smoothing).total, expected, rtol=1e-4, atol=1e-4)


def test_special_tokens_are_not_copied_and_the_rest_of_the_attention_is_divided_by_its_sum():
    weights = torch.tensor([[0.1, 0.2, 0.2, 0.1, 0.4], [0.0, 0.0, 0.0, 0.5, 0.5]])
    token_ids = torch.tensor([[BOS, 7, UNK, PAD, EOS], [BOS, 7, UNK, EOS, PAD]])
    assert_close(copy_weights(weights, token_ids), torch.tensor([[0.0, 0.5, 0.5, 0.0, 0.0], [0.0] * 5]))


@every_generator
def test_a_closed_gate_never_generates_the_end_of_the_source(kind, memory):
    decoder, tokens = build(kind), torch.randint(VOCAB, (3, 4))
    with torch.no_grad():
        decoder.copy_gate.bias.fill_(-30.0)  # always copy
    found = decoder(tokens, memory).features.exp()
    assert found[..., EOS].max() < 1e-6
    assert_close(found.sum(dim=-1), torch.ones(3, 4))


@every_generator
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_a_token_to_copy_the_generator_is_alone(kind, smoothing, make_memory):
    decoder, made = build(kind), make_memory([1, 1], DIM)
    memory = Memory(made.states, made.mask, made.summary, token_ids=torch.tensor([[EOS], [EOS]]))
    tokens = torch.tensor([[2, 8, 10, 3], [2, 4, 9, 3]])
    generated = decoder.generator.logits(decoder.generator(tokens, memory).features).log_softmax(dim=-1)
    assert_close(decoder(tokens, memory).features, generated)
    loss = decoder.loss(tokens, memory, label_smoothing=smoothing).total
    assert_close(loss, decoder.generator.loss(tokens, memory, label_smoothing=smoothing).total)
    loss.backward()
    gradients = {name: weight.grad for name, weight in decoder.named_parameters() if weight.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not gradients["copy_gate.weight"].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_gradients_stay_finite_however_little_attention_there_is_to_what_can_be_copied(dtype):
    token_ids = torch.tensor([5, 6, EOS]).expand(60, 3)
    scores = torch.stack([torch.zeros(60), -torch.arange(60.0), 2 * torch.arange(60.0)], dim=-1).requires_grad_()
    weights = scores.softmax(dim=-1).to(dtype)
    found = copy_weights(weights, token_ids)
    copies = found.any(dim=-1)
    assert copies[0] and not copies[-1]
    assert_close(found.sum(dim=-1), copies.float())
    found[copies, 0].clamp(min=1e-30).log().sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()


@every_generator
def test_with_scheduled_sampling_the_loss_is_that_of_the_tokens_read(kind, memory):
    decoder, tokens = build(kind), torch.tensor([[2, 5, 6, 3], [2, 8, 3, 0], [2, 4, 9, 3]])
    output = decoder.unroll(tokens[:, :-1], memory, teacher_forcing=0.0)
    log_probs = output.features.gather(2, tokens[:, 1:, None]).squeeze(2)[tokens[:, 1:] != 0]
    assert_close(decoder.loss(tokens, memory, teacher_forcing=0.0).total, -log_probs.sum())


@every_generator
def test_steps_and_reordered_beams_equal_the_pass_from_scratch(kind, memory):
    decoder, tokens = build(kind), torch.randint(VOCAB, (3, 3))
    assert_close(decoder.unroll(tokens, memory).features, decoder(tokens, memory).features, rtol=1e-4, atol=1e-5)
    _, state = decoder.step(tokens[:, 0], decoder.init_state(memory))
    state = state.reorder(torch.tensor([[0, 0], [2, 2]]))  # the middle sentence leaves the batch
    second = torch.randint(VOCAB, (4,))
    _, state = decoder.step(second, state)
    state = state.reorder(torch.tensor([[1, 0], [3, 3]]))
    third = torch.randint(VOCAB, (4,))
    output, _ = decoder.step(third, state)
    sentences = torch.tensor([0, 0, 2, 2])
    history = torch.stack([tokens[sentences, 0], second[[1, 0, 3, 3]], third], dim=1)
    expected = decoder(history, memory.select(sentences)).features[:, -1:]
    assert_close(output.features, expected, rtol=1e-4, atol=1e-5)


@every_generator
def test_gradients_reach_every_parameter_also_with_hard_attention(kind, memory):
    memory = Memory(memory.states.clamp(-3, 3), memory.mask, memory.summary, token_ids=memory.token_ids)
    for decoder in (build(kind), build(kind, selection="hard"), build(kind, coverage_weight=1.0, guidance_weight=1.0)):
        decoder.train().loss(torch.tensor([[2, 5, 6, 3], [2, 8, 10, 3], [2, 4, 9, 3]]), memory).total.backward()
        unreached = [
            name for name, weight in decoder.named_parameters() if weight.grad is None or not weight.grad.any()
        ]
        assert unreached == []


def test_with_a_closed_gate_only_source_tokens_are_generated(memory):
    decoder = build("recurrent")
    with torch.no_grad():
        decoder.copy_gate.bias.fill_(-20.0)  # always copy
    found = decoder.search(memory, SearchConfig(beam=3, max_length=6))
    for ranked, tokens, length in zip(found, memory.token_ids.tolist(), LENGTHS, strict=True):
        assert set(ranked[0].tokens) <= set(tokens[:length])


def test_coverage_loss_is_the_minimum_of_current_and_previous_weights():
    weights = torch.tensor([[[0.7, 0.3, 0.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    words = torch.tensor([[True, True, True, False]])
    assert_close(coverage_loss(weights, words), torch.tensor(0.0 + 0.5 + 1.0))


def test_copying_without_attention_is_refused_in_one_line():
    config = RecurrentDecoderConfig(copy=True)
    with pytest.raises(ValueError, match=r"^decoder\.copy needs attention weights, and attention\.score is none"):
        build_decoder(config, AttentionConfig(score="none"), vocab_size=VOCAB, memory_dim=DIM)


def test_a_generator_without_attention_weights_is_refused():
    generator = RecurrentDecoder(nn.Embedding(VOCAB, 6), FixedContext(DIM), 8, DIM)
    with pytest.raises(ValueError, match=r"^generator has no attention weights"):
        PointerGenerator(generator, 6)


def test_tokens_are_mapped_to_the_same_string_in_the_other_vocabulary():
    config = VocabularyConfig(kind="word", size=20, min_frequency=1)
    left, log_probs = Tokenizer.train(["a red cat"], config), Tokenizer.train(["a green cat"], config)
    a, red, cat = left.encode(["a red cat"])[0]
    target_ids = log_probs.ids_of(left.spellings()).tolist()
    assert [target_ids[a], target_ids[cat]] == log_probs.encode(["a cat"])[0]
    assert target_ids[red] == 1
    assert target_ids[:4] == [0, 1, 2, 3]


def test_the_generator_keeps_its_attention_losses():
    assert build("recurrent", guidance_weight=2.0).attention_losses.guidance == 2.0
    assert isinstance(build("recurrent").generator, RecurrentDecoder)
    assert isinstance(build("transformer").generator, TransformerDecoder)
