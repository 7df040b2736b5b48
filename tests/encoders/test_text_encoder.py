"""Encoders: padding changes nothing, two directions are torch's own, and a reversed reading keeps its places."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from encoders import RecurrentEncoder, SourceBatch, TextEncoder
from encoders.recurrent import CELLS, reverse_padded

VOCAB, EMBEDDING, HIDDEN = 13, 5, 4
LENGTHS = [6, 3, 1, 4]

every_cell = pytest.mark.parametrize("cell", CELLS)
one_or_two_layers = pytest.mark.parametrize("num_layers", [1, 2])
one_or_two_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["onward", "both"])
either_way_round = pytest.mark.parametrize("reverse", [False, True], ids=["straight", "reversed"])


def build(*, reverse: bool = False, dropout: float = 0.0, **choices) -> TextEncoder:
    recurrent = RecurrentEncoder(EMBEDDING, HIDDEN, dropout=dropout, **choices)
    return TextEncoder(nn.Embedding(VOCAB, EMBEDDING), recurrent, reverse=reverse, dropout=dropout).eval()


@pytest.fixture
def source() -> SourceBatch:
    """Sentences of LENGTHS; where there is padding stand arbitrary tokens, not one that means padding."""
    return SourceBatch(torch.randint(VOCAB, (4, 6)), torch.arange(6) < torch.tensor(LENGTHS)[:, None])


def alone(source: SourceBatch, sentence: int) -> SourceBatch:
    row, length = slice(sentence, sentence + 1), LENGTHS[sentence]
    return SourceBatch(source.values[row, :length], source.mask[row, :length])


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────


@every_cell
@one_or_two_directions
@one_or_two_layers
@either_way_round
def test_padding_changes_no_real_state_and_no_summary(cell, bidirectional, num_layers, reverse, source):
    encoder = build(cell=cell, bidirectional=bidirectional, num_layers=num_layers, reverse=reverse)
    together = encoder(source)
    for row, length in enumerate(LENGTHS):
        single = encoder(alone(source, row))
        assert_close(single.states[0], together.states[row, :length])
        assert_close(single.summary[0], together.summary[row])


@every_cell
@one_or_two_directions
@one_or_two_layers
@either_way_round
def test_no_gradient_reaches_padding(cell, bidirectional, num_layers, reverse, source):
    encoder = build(cell=cell, bidirectional=bidirectional, num_layers=num_layers, reverse=reverse)
    inputs = []
    encoder.embedding.register_forward_hook(lambda module, arguments, output: inputs.append(output))
    memory = encoder(source)
    inputs[0].retain_grad()
    (memory.states[source.mask].sum() + memory.summary.sum()).backward()
    assert (inputs[0].grad[~source.mask] == 0).all()
    assert (inputs[0].grad[source.mask] != 0).any(dim=-1).all()


@every_cell
@one_or_two_directions
@one_or_two_layers
@either_way_round
def test_a_memory_has_a_state_for_each_token_and_one_summary(cell, bidirectional, num_layers, reverse, source):
    encoder = build(cell=cell, bidirectional=bidirectional, num_layers=num_layers, reverse=reverse)
    memory = encoder(source)
    assert encoder.dim == HIDDEN * (2 if bidirectional else 1)
    assert memory.states.shape == (4, 6, encoder.dim)
    assert memory.summary.shape == (4, encoder.dim)
    assert memory.mask.equal(source.mask)


@every_cell
@one_or_two_layers
def test_reading_in_reverse_is_encoding_the_reversed_sentence_and_turning_the_states_back(cell, num_layers, source):
    straight = build(cell=cell, num_layers=num_layers, bidirectional=False)
    reverse = build(cell=cell, num_layers=num_layers, bidirectional=False, reverse=True)
    reverse.load_state_dict(straight.state_dict())
    found = reverse(source)
    for row, length in enumerate(LENGTHS):
        backwards = SourceBatch(
            source.values[row : row + 1, :length].reverse_padded(1), source.mask[row : row + 1, :length]
        )
        expected = straight(backwards)
        assert_close(found.states[row, :length], expected.states[0].reverse_padded(0))
        assert_close(found.summary[row], expected.summary[0])


@either_way_round
@one_or_two_directions
def test_a_state_has_read_what_stands_before_it_and_with_two_directions_everything(bidirectional, reverse, source):
    encoder = build(bidirectional=bidirectional, reverse=reverse)
    before = encoder(source).states[0]
    values = source.values.clone()
    values[0, 2] = (values[0, 2] + 1) % VOCAB
    changed = (encoder(SourceBatch(values, source.mask)).states[0] != before).any(dim=-1).tolist()
    onward = [position <= 2 if reverse else position >= 2 for position in range(6)]
    assert changed == ([True] * 6 if bidirectional else onward)


def test_dropout_is_for_training_only(source):
    encoder = build(dropout=0.5, num_layers=2)
    assert_close(encoder(source).states, encoder(source).states, rtol=0, atol=0)
    encoder.train()
    assert not encoder(source).states.equal(encoder(source).states)


# ── Recurrent ───────────────────────────────────────────────────────────────────────────────────────────────


@every_cell
@one_or_two_directions
@one_or_two_layers
def test_recurrent_equals_torchs_own_over_packed_sequences(cell, bidirectional, num_layers, source):
    recurrent = RecurrentEncoder(
        EMBEDDING, HIDDEN, cell=cell, num_layers=num_layers, bidirectional=bidirectional, dropout=0.0
    ).eval()
    reference = CELLS[cell](EMBEDDING, HIDDEN, num_layers, bidirectional=bidirectional, batch_first=True)
    for number, layer in enumerate(recurrent.layers):
        for rnn, suffix in zip(layer, ("", "_reverse"), strict=False):
            for name, weight in rnn.named_parameters():
                getattr(reference, name.replace("l0", f"l{number}") + suffix).data.copy_(weight)
    inputs = torch.randn(4, 6, EMBEDDING)
    packed = pack_padded_sequence(inputs, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    states, last = reference(packed)
    states, _ = pad_packed_sequence(states, batch_first=True)
    hidden = last[0] if cell == "lstm" else last  # (layers * directions, batch, hidden)
    top = hidden[-2:] if bidirectional else hidden[-1:]
    memory = recurrent(inputs, source.mask)
    assert_close(memory.states[source.mask], states[source.mask])
    assert_close(memory.summary, torch.cat(top.unbind(0), dim=-1))


def test_flipping_reverses_what_is_real_and_leaves_padding_where_it_is(source):
    states = torch.randn(4, 6, 2)
    flipped = reverse_padded(states, source.mask)
    for row, length in enumerate(LENGTHS):
        assert flipped[row, :length].equal(states[row, :length].reverse_padded(0))
        assert flipped[row, length:].equal(states[row, length:])
    assert reverse_padded(flipped, source.mask).equal(states)


# ── Memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_selected_memory_is_that_of_the_selected_sentences_in_their_order(source):
    encoder, rows = build(), torch.tensor([2, 0, 2])
    selected = encoder(source).select(rows)
    expected = encoder(SourceBatch(source.values[rows], source.mask[rows]))
    assert_close(selected.states, expected.states)
    assert_close(selected.summary, expected.summary)
    assert selected.mask.equal(expected.mask)
