"""The recurrent decoder: the fast pass equals the steps, beams move without copies, and padding changes nothing."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from attention.base import Attention
from attention.fixed_context import FixedContext
from attention.hierarchical import HierarchicalSoftmax
from attention.locality import LocalM, MonotonicGaussian
from attention.memory import Memory
from attention.multihead import MultiHeadAttention
from attention.score_functions import LocationSensitive, build_score
from attention.scored import ScoredAttention
from decoders.base import BOS
from decoders.recurrent import RecurrentDecoder

VOCAB, EMBEDDING, HIDDEN, MEMORY = 11, 6, 8, 4
LENGTHS = [5, 2, 3]

AXES = {
    "cell": ("lstm", "gru", "rnn"),
    "attention_order": ("luong", "bahdanau"),
    "input_feeding": (False, True),
    "attention": (
        "none",
        "general",
        "additive",
        "multihead",
        "location",
        "monotonic",
        "many locations",
        "local hierarchy",
    ),
    "num_layers": (1, 2),
    "tie_embeddings": (True, False),
    "init_state": ("projection", "zeros"),
    "readout": ("feedforward", "recurrent"),
}


def combinations_of(*groups: str) -> pytest.MarkDecorator:
    """Parametrize with all combinations within each group of axes; the other axes keep their defaults."""
    chosen = []
    for names in map(str.split, groups):
        combinations = itertools.product(*(AXES[name] for name in names))
        chosen += [dict(zip(names, values, strict=True)) for values in combinations]
    return pytest.mark.parametrize("choices", chosen, ids=lambda choices: "-".join(map(str, choices.values())))


def build_attention(name: str) -> Attention:
    match name:
        case "none":
            return FixedContext(MEMORY)
        case "multihead":
            score = build_score("scaled_dot", HIDDEN // 2, MEMORY // 2, 0)
            return MultiHeadAttention(ScoredAttention(score, MEMORY // 2), HIDDEN, MEMORY, num_heads=2)
        case "location":
            return ScoredAttention(LocationSensitive(HIDDEN, MEMORY, 5, kernel_size=3), MEMORY)
        case "monotonic":
            score = build_score("general", HIDDEN, MEMORY, 0)
            return ScoredAttention(score, MEMORY, locality=MonotonicGaussian(HIDDEN, 5, half_width=2))
        case "local hierarchy":
            score = build_score("dot", HIDDEN, MEMORY, 0)
            segment_attention = HierarchicalSoftmax(build_score("general", HIDDEN, MEMORY, 0), 2)
            return ScoredAttention(score, MEMORY, segment_attention=segment_attention, locality=LocalM(1))
        case "many locations":
            head = ScoredAttention(LocationSensitive(HIDDEN // 2, MEMORY // 2, 5, kernel_size=3), MEMORY // 2)
            return MultiHeadAttention(head, HIDDEN, MEMORY, num_heads=2)
        case score:
            return ScoredAttention(build_score(score, HIDDEN, MEMORY, 5), MEMORY)


def build(attention: str = "general", **choices) -> RecurrentDecoder:
    decoder = RecurrentDecoder(nn.Embedding(VOCAB, EMBEDDING), build_attention(attention), HIDDEN, MEMORY, **choices)
    return decoder.eval()


def replay(decoder: RecurrentDecoder, memory: Memory, histories: list[list[list[int]]]) -> tuple[Tensor, Tensor | None]:
    """Return the last features and weights of each of ``histories[sentence][hypothesis]``, from scratch."""
    rows = [sentence for sentence, hypotheses in enumerate(histories) for _ in hypotheses]
    tokens = torch.tensor([history for hypotheses in histories for history in hypotheses])
    output = decoder(tokens, memory.select(torch.tensor(rows)))
    return output.features[:, -1:], None if output.weights is None else output.weights[:, -1:]


# ── Teacher forcing ─────────────────────────────────────────────────────────────────────────────────────────


@combinations_of(
    "cell attention_order input_feeding attention num_layers tie_embeddings",
    "attention_order attention init_state",
    "cell attention_order input_feeding attention readout",
)
def test_forward_equals_repeated_step(choices, make_memory):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 3))
    at_once, state, outputs = decoder(tokens, memory), decoder.init_state(memory), []
    for token in tokens.unbind(1):
        output, state = decoder.step(token, state)
        outputs.append(output)
    features = torch.cat([output.features for output in outputs], dim=1)
    assert_close(features, at_once.features, rtol=1e-5, atol=1e-5)
    if choices["attention"] == "none":
        assert {at_once.weights, *(output.weights for output in outputs)} == {None}
    else:
        weights = torch.cat([output.weights for output in outputs], dim=1)
        assert_close(weights, at_once.weights, rtol=1e-5, atol=1e-5)


@combinations_of(
    "attention_order input_feeding attention", "cell attention_order num_layers", "cell attention_order readout"
)
def test_forward_takes_the_steps_of_bahdanau_and_luong(choices, make_memory):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 3))
    found, state = decoder(tokens, memory).features, decoder.init_state(memory)
    hidden, output, readout = state.hidden, torch.zeros(3, EMBEDDING), None
    rnn = next(module for module in decoder.modules() if isinstance(module, nn.RNNBase))  # the module of torch

    attention_state = state.attention_state

    def attend(query: Tensor) -> Tensor:
        nonlocal attention_state
        attended = decoder.attention(query[:, None], state.key_values, attention_state)
        attention_state = attended.state
        return attended.context[:, 0]

    for position, token in enumerate(tokens.unbind(1)):
        inputs = [decoder.embedding(token)]
        if decoder.input_feeding:
            inputs.append(output)
        if decoder.attention_order == "bahdanau":
            context = attend(hidden[0][-1])
            inputs.append(context)
        states, last = rnn(torch.cat(inputs, dim=-1)[:, None], hidden if len(hidden) == 2 else hidden[0])
        hidden = last if len(hidden) == 2 else (last,)
        if decoder.attention_order == "luong":
            context = attend(states[:, 0])
        if decoder.readout is not None:
            states, readout = decoder.readout.rnn(torch.cat([states[:, 0], context], dim=-1)[:, None], readout)
        output = torch.tanh(decoder.combine(torch.cat([states[:, 0], context], dim=-1)))
        assert_close(found[:, position], output)


@combinations_of("attention_order input_feeding attention", "attention_order readout")
def test_padding_of_the_memory_changes_nothing(choices, make_memory, alone):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 4))
    together = decoder(tokens, memory)
    for row, length in enumerate(LENGTHS):
        single = decoder(tokens[row : row + 1], alone(memory, row))
        assert_close(single.features[0], together.features[row])
        if together.weights is not None:
            assert_close(single.weights[0], together.weights[row, :, :length])
            assert (together.weights[row, :, length:] == 0).all()


@combinations_of("attention_order input_feeding readout")
def test_without_attention_only_the_summary_matters(choices, make_memory):
    decoder, memory, tokens = build("none", **choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 4))
    other = Memory(torch.randn_like(memory.states), memory.mask, memory.summary)
    assert_close(decoder(tokens, memory).features, decoder(tokens, other).features, rtol=0, atol=0)


# ── Beams ───────────────────────────────────────────────────────────────────────────────────────────────────


@combinations_of("attention_order input_feeding attention", "cell num_layers readout")
def test_a_reordered_state_equals_the_one_computed_from_scratch(choices, make_memory):
    decoder, memory = build(**choices), make_memory(LENGTHS, MEMORY)
    state, histories = decoder.init_state(memory), [[[]], [[]], [[]]]
    chosen = [
        [[0, 0], [1, 1], [2, 2]],  # one hypothesis becomes a beam of two
        [[1, 0], [2, 2], [5, 4]],  # they are swapped, or one replaces another
        [[0, 1, 1], [4, 5, 4]],  # the middle sentence leaves the batch, the beam grows
        [[3]],  # the first sentence leaves too
    ]
    sentences = torch.arange(3)
    for rows in [None, *map(torch.tensor, chosen)]:
        if rows is not None:
            state = state.reorder(rows)
            beam = len(histories[0])
            sentences = sentences[rows[:, 0] // beam]
            counted = [history for hypotheses in histories for history in hypotheses]
            histories = [[counted[row] for row in line] for line in rows.tolist()]
        tokens = torch.randint(VOCAB, (sum(map(len, histories)),))
        following = iter(tokens.tolist())
        histories = [[[*history, next(following)] for history in hypotheses] for hypotheses in histories]
        output, state = decoder.step(tokens, state)
        features, weights = replay(decoder, memory.select(sentences), histories)
        assert_close(output.features, features, rtol=1e-5, atol=1e-5)
        if weights is not None:
            assert_close(output.weights, weights, rtol=1e-5, atol=1e-5)


@combinations_of("attention_order attention")
def test_no_memory_is_copied_for_a_beam(choices, make_memory):
    decoder, memory = build(**choices), make_memory(LENGTHS, MEMORY)
    first = decoder.init_state(memory)
    _, started = decoder.step(torch.randint(VOCAB, (3,)), first)
    beam = started.reorder(torch.arange(3)[:, None].expand(-1, 4))
    _, stepped = decoder.step(torch.randint(VOCAB, (12,)), beam)
    reordered = stepped.reorder(torch.arange(12).view(3, 4).flip(1))
    assert first.key_values.keys is beam.key_values.keys is stepped.key_values.keys is reordered.key_values.keys
    assert first.key_values.values is reordered.key_values.values


# ── Scheduled sampling ──────────────────────────────────────────────────────────────────────────────────────


@combinations_of("attention_order input_feeding attention", "cell num_layers readout")
def test_full_teacher_forcing_equals_the_fast_pass(choices, make_memory):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 5))
    assert_close(decoder.unroll(tokens, memory, teacher_forcing=1.0).features, decoder(tokens, memory).features)


@combinations_of("cell attention_order input_feeding readout")
def test_gradients_of_the_fast_pass_equal_those_of_the_steps(choices, make_memory):
    decoder, memory, tokens = build(**choices).double(), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 5))
    memory = Memory(memory.states.double(), memory.mask, memory.summary.double())
    weights = torch.randn(3, 5, EMBEDDING, dtype=torch.double)
    gradients = []
    for features in (decoder(tokens, memory).features, decoder.unroll(tokens, memory, teacher_forcing=1.0).features):
        decoder.zero_grad()
        (features * weights).sum().backward()
        gradients.append({name: part.grad for name, part in decoder.named_parameters() if part.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert_close(gradient, gradients[1][name], msg=lambda message, name=name: f"{name}: {message}")


@combinations_of("attention_order input_feeding readout", "attention_order attention")
def test_whether_a_context_affects_later_tokens(choices, make_memory):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 2))
    state = decoder.init_state(memory)
    other = replace(state, key_values=replace(state.key_values, values=torch.randn_like(state.key_values.values)))
    features = []
    for first in (state, other):  # the first step has other contexts, the second one the same
        _, second = decoder.step(tokens[:, 0], first)
        output, _ = decoder.step(tokens[:, 1], replace(second, key_values=state.key_values))
        features.append(output.features)
    # Attention that depends on earlier weights affects later tokens as well, by its state.
    assert decoder.context_affects_future == (not torch.equal(*features) or decoder.attention.is_sequential)


@combinations_of("attention_order input_feeding attention", "cell num_layers readout")
def test_without_teacher_forcing_the_decoder_reads_its_own_predictions(choices, make_memory):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 5))
    found = decoder.unroll(tokens, memory, teacher_forcing=0.0).features
    state, predicted = decoder.init_state(memory), tokens[:, 0]
    for position in range(5):
        output, state = decoder.step(predicted, state)
        assert_close(found[:, position], output.features[:, 0])
        predicted = decoder.logits(output.features[:, 0]).argmax(dim=-1)


def test_teacher_forcing_is_the_share_of_true_tokens(make_memory):
    decoder, memory = build(), make_memory([2] * 200, MEMORY)
    tokens = torch.full((200, 6), BOS)
    read = []
    decoder.embedding.register_forward_hook(lambda module, arguments, output: read.append(arguments[0]))
    with torch.no_grad():
        decoder.output.bias[BOS] = -100.0  # never predicted, so each BOS that is read is a true one
        decoder.unroll(tokens, memory, teacher_forcing=0.3)
    assert (read[0] == BOS).all()
    share = (torch.stack(read[1:]) == BOS).double().mean().item()
    assert share == pytest.approx(0.3, abs=0.06)  # four standard deviations of 1000 samples


# ── Parameters ──────────────────────────────────────────────────────────────────────────────────────────────


@combinations_of("attention_order input_feeding attention tie_embeddings init_state", "cell num_layers readout")
def test_gradients_reach_every_parameter(choices, make_memory):
    decoder, memory, tokens = build(**choices), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 4))
    memory = Memory(memory.states.clamp(-3, 3), memory.mask, memory.summary)  # large padding would saturate the tanh
    logits = decoder.logits(decoder(tokens, memory).features)
    functional.cross_entropy(logits.flatten(0, 1), torch.randint(VOCAB, (12,))).backward()
    unreached = [name for name, weight in decoder.named_parameters() if weight.grad is None or (weight.grad == 0).all()]
    assert unreached == []


@combinations_of("tie_embeddings init_state")
def test_tied_embeddings_are_the_same_matrix(choices):
    decoder = build(**choices)
    assert (decoder.output.weight is decoder.embedding.weight) == choices["tie_embeddings"]
    matrices = [weight for weight in decoder.parameters() if weight.size(0) == VOCAB and weight.dim() == 2]
    assert len(matrices) == (1 if choices["tie_embeddings"] else 2)
    assert (decoder.bridge is None) == (choices["init_state"] == "zeros")


@combinations_of("cell num_layers init_state")
def test_the_first_state_is_a_projection_of_the_summary_or_zero(choices, make_memory):
    decoder, memory = build(**choices), make_memory(LENGTHS, MEMORY)
    hidden = torch.stack(decoder.init_state(memory).hidden)  # (states, layers, batch, dim)
    expected = torch.zeros_like(hidden)
    if choices["init_state"] == "projection":
        expected = torch.tanh(decoder.bridge(memory.summary)).view(3, *hidden.shape[:2], HIDDEN).permute(1, 2, 0, 3)
    assert hidden.shape == (2 if choices["cell"] == "lstm" else 1, choices["num_layers"], 3, HIDDEN)
    assert_close(hidden, expected)
