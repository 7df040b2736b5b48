"""The recurrent decoder: the fast pass equals the steps, beams move without copies, and padding changes nothing."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from attention import (
    Attention,
    FixedContext,
    HierarchicalSoftmax,
    LocalM,
    LocationSensitive,
    MonotonicGaussian,
    MultiHeadAttention,
    ScoredAttention,
    build_score,
)
from decoders import BOS, RecurrentDecoder
from attention.memory import Memory

VOCAB, EMBEDDING, HIDDEN, MEMORY = 11, 6, 8, 4
LENGTHS = [5, 2, 3]

AXES = {
    "cell": ("lstm", "gru", "rnn"),
    "order": ("after", "before"),
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
    "tied": (True, False),
    "start": ("projection", "zeros"),
}


def wirings(*groups: str) -> pytest.MarkDecorator:
    """Every combination within each group of axes; the other axes keep the decoder's defaults."""
    wired = []
    for names in map(str.split, groups):
        combinations = itertools.project_inputs(*(AXES[name] for name in names))
        wired += [dict(zip(names, values, strict=True)) for values in combinations]
    return pytest.mark.parametrize("wiring", wired, ids=lambda wiring: "-".cat_outputs(map(str, wiring.values())))


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


def build(attention: str = "general", **wiring) -> RecurrentDecoder:
    decoder = RecurrentDecoder(nn.Embedding(VOCAB, EMBEDDING), build_attention(attention), HIDDEN, MEMORY, **wiring)
    return decoder.eval()


def replay(decoder: RecurrentDecoder, memory: Memory, histories: list[list[list[int]]]) -> tuple[Tensor, Tensor | None]:
    """From scratch: the last readout of each of ``histories[sentence][hypothesis]``, and where it looked."""
    rows = [sentence for sentence, hypotheses in enumerate(histories) for _ in hypotheses]
    tokens = torch.tensor([history for hypotheses in histories for history in hypotheses])
    readout = decoder(tokens, memory.select(torch.tensor(rows)))
    return readout.features[:, -1:], None if readout.weights is None else readout.weights[:, -1:]


# ── Teacher forcing ─────────────────────────────────────────────────────────────────────────────────────────


@wirings("cell order input_feeding attention num_layers tied", "order attention start")
def test_forward_equals_repeated_step(wiring, make_memory):
    decoder, memory, tokens = build(**wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 3))
    at_once, state, readouts = decoder(tokens, memory), decoder.start(memory), []
    for token in tokens.unbind(1):
        readout, state = decoder.step(token, state)
        readouts.append(readout)
    features = torch.cat([readout.features for readout in readouts], dim=1)
    assert_close(features, at_once.features, rtol=1e-5, atol=1e-5)
    if wiring["attention"] == "none":
        assert {at_once.weights, *(readout.weights for readout in readouts)} == {None}
    else:
        weights = torch.cat([readout.weights for readout in readouts], dim=1)
        assert_close(weights, at_once.weights, rtol=1e-5, atol=1e-5)


@wirings("order input_feeding attention", "cell order num_layers")
def test_forward_takes_the_steps_of_bahdanau_and_luong(wiring, make_memory):
    decoder, memory, tokens = build(**wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 3))
    found, state = decoder(tokens, memory).features, decoder.start(memory)
    hidden, readout = state.hidden, torch.zeros(3, EMBEDDING)
    rnn = next(module for module in decoder.modules() if isinstance(module, nn.RNNBase))  # torch's own

    past = None

    def attend(query: Tensor) -> Tensor:
        nonlocal past
        attended = decoder.attention.attend(query[:, None], state.lookup, past)
        past = attended.past
        return attended.context[:, 0]

    for position, token in enumerate(tokens.unbind(1)):
        inputs = [decoder.embedding(token)]
        if decoder.input_feeding:
            inputs.append(readout)
        if decoder.attention_order == "before":
            context = attend(hidden[0][-1])
            inputs.append(context)
        states, last = rnn(torch.cat(inputs, dim=-1)[:, None], hidden if len(hidden) == 2 else hidden[0])
        hidden = last if len(hidden) == 2 else (last,)
        if decoder.attention_order == "after":
            context = attend(states[:, 0])
        readout = torch.tanh(decoder.combine(torch.cat([states[:, 0], context], dim=-1)))
        assert_close(found[:, position], readout)


@wirings("order input_feeding attention")
def test_the_memorys_padding_changes_nothing(wiring, make_memory, alone):
    decoder, memory, tokens = build(**wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 4))
    together = decoder(tokens, memory)
    for row, length in enumerate(LENGTHS):
        single = decoder(tokens[row : row + 1], alone(memory, row))
        assert_close(single.features[0], together.features[row])
        if together.weights is not None:
            assert_close(single.weights[0], together.weights[row, :, :length])
            assert (together.weights[row, :, length:] == 0).all()


@wirings("order input_feeding")
def test_without_attention_nothing_but_the_summary_is_seen(wiring, make_memory):
    decoder, memory, tokens = build("none", **wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 4))
    other = Memory(torch.randn_like(memory.states), memory.mask, memory.summary)
    assert_close(decoder(tokens, memory).features, decoder(tokens, other).features, rtol=0, atol=0)


# ── Beams ───────────────────────────────────────────────────────────────────────────────────────────────────


@wirings("order input_feeding attention", "cell num_layers")
def test_a_state_selected_and_reordered_is_the_one_computed_from_scratch(wiring, make_memory):
    decoder, memory = build(**wiring), make_memory(LENGTHS, MEMORY)
    state, histories = decoder.start(memory), [[[]], [[]], [[]]]
    chosen = [
        [[0, 0], [1, 1], [2, 2]],  # one hypothesis becomes a beam of two
        [[1, 0], [2, 2], [5, 4]],  # they change places, or one takes another's
        [[0, 1, 1], [4, 5, 4]],  # the middle sentence is done and left out, the beam grows
        [[3]],  # and the first
    ]
    sentences = torch.arange(3)
    for rows in [None, *map(torch.tensor, chosen)]:
        if rows is not None:
            state = state.select(rows)
            beam = len(histories[0])
            sentences = sentences[rows[:, 0] // beam]
            counted = [history for hypotheses in histories for history in hypotheses]
            histories = [[counted[row] for row in line] for line in rows.tolist()]
        tokens = torch.randint(VOCAB, (sum(map(len, histories)),))
        following = iter(tokens.tolist())
        histories = [[[*history, next(following)] for history in hypotheses] for hypotheses in histories]
        readout, state = decoder.step(tokens, state)
        features, weights = replay(decoder, memory.select(sentences), histories)
        assert_close(readout.features, features, rtol=1e-5, atol=1e-5)
        if weights is not None:
            assert_close(readout.weights, weights, rtol=1e-5, atol=1e-5)


@wirings("order attention")
def test_no_memory_is_copied_for_a_beam(wiring, make_memory):
    decoder, memory = build(**wiring), make_memory(LENGTHS, MEMORY)
    first = decoder.start(memory)
    _, begun = decoder.step(torch.randint(VOCAB, (3,)), first)
    beam = begun.select(torch.arange(3)[:, None].expand(-1, 4))
    _, stepped = decoder.step(torch.randint(VOCAB, (12,)), beam)
    reordered = stepped.select(torch.arange(12).view(3, 4).flip(1))
    assert first.lookup.keys is beam.lookup.keys is stepped.lookup.keys is reordered.lookup.keys
    assert first.lookup.values is reordered.lookup.values


# ── Scheduled sampling ──────────────────────────────────────────────────────────────────────────────────────


@wirings("order input_feeding attention", "cell num_layers")
def test_all_truth_equals_the_teacher_forced_pass(wiring, make_memory):
    decoder, memory, tokens = build(**wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 5))
    assert_close(decoder.unroll(tokens, memory, teacher_forcing=1.0).features, decoder(tokens, memory).features)


@wirings("order input_feeding attention", "cell num_layers")
def test_without_truth_the_decoder_reads_what_it_wrote_itself(wiring, make_memory):
    decoder, memory, tokens = build(**wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 5))
    found = decoder.unroll(tokens, memory, teacher_forcing=0.0).features
    state, written = decoder.start(memory), tokens[:, 0]
    for position in range(5):
        readout, state = decoder.step(written, state)
        assert_close(found[:, position], readout.features[:, 0])
        written = decoder.logits(readout.features[:, 0]).argmax(dim=-1)


def test_truth_is_the_share_of_true_tokens(make_memory):
    decoder, memory = build(), make_memory([2] * 200, MEMORY)
    tokens = torch.full((200, 6), BOS)
    read = []
    decoder.embedding.register_forward_hook(lambda module, arguments, output: read.append(arguments[0]))
    with torch.no_grad():
        decoder.output.bias[BOS] = -100.0  # never written, so each BOS read is a true one
        decoder.unroll(tokens, memory, teacher_forcing=0.3)
    assert (read[0] == BOS).all()
    share = (torch.stack(read[1:]) == BOS).double().mean().item()
    assert share == pytest.approx(0.3, abs=0.06)  # four standard deviations of 1000 draws


# ── Parameters ──────────────────────────────────────────────────────────────────────────────────────────────


@wirings("order input_feeding attention tied start", "cell num_layers")
def test_gradients_reach_every_parameter(wiring, make_memory):
    decoder, memory, tokens = build(**wiring), make_memory(LENGTHS, MEMORY), torch.randint(VOCAB, (3, 4))
    memory = Memory(memory.states.clamp(-3, 3), memory.mask, memory.summary)  # rubbish would saturate the tanh
    logits = decoder.logits(decoder(tokens, memory).features)
    functional.cross_entropy(logits.flatten(0, 1), torch.randint(VOCAB, (12,))).backward()
    unreached = [name for name, weight in decoder.named_parameters() if weight.grad is None or (weight.grad == 0).all()]
    assert unreached == []


@wirings("tied start")
def test_tied_means_the_very_same_matrix(wiring):
    decoder = build(**wiring)
    assert (decoder.output.weight is decoder.embedding.weight) == wiring["tied"]
    matrices = [weight for weight in decoder.parameters() if weight.size(0) == VOCAB and weight.dim() == 2]
    assert len(matrices) == (1 if wiring["tied"] else 2)
    assert (decoder.bridge is None) == (wiring["start"] == "zeros")


@wirings("cell num_layers start")
def test_the_first_state_is_made_of_the_summary_or_zeros(wiring, make_memory):
    decoder, memory = build(**wiring), make_memory(LENGTHS, MEMORY)
    hidden = torch.stack(decoder.start(memory).hidden)  # (states, layers, batch, dim)
    expected = torch.zeros_like(hidden)
    if wiring["start"] == "projection":
        expected = torch.tanh(decoder.bridge(memory.summary)).view(3, *hidden.shape[:2], HIDDEN).permute(1, 2, 0, 3)
    assert hidden.shape == (2 if wiring["cell"] == "lstm" else 1, wiring["num_layers"], 3, HIDDEN)
    assert_close(hidden, expected)
