"""The text and recurrent encoders: padding, equality with torch's bidirectional RNN, reversal, sentences."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from encoders.base import SourceBatch
from encoders.recurrent import CELLS, RecurrentEncoder, reverse_padded
from encoders.text import TextEncoder, TokenEmbedding

VOCAB_SIZE, EMBEDDING_DIM, HIDDEN_DIM = 13, 5, 4
LENGTHS = [6, 3, 1, 4]

every_cell = pytest.mark.parametrize("cell", CELLS)
one_or_two_layers = pytest.mark.parametrize("num_layers", [1, 2])
one_or_two_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
either_order = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reversed"])


def build(*, reverse: bool = False, dropout: float = 0.0, **options) -> TextEncoder:
    recurrent = RecurrentEncoder(EMBEDDING_DIM, HIDDEN_DIM, dropout=dropout, **options)
    embedding = TokenEmbedding(nn.Embedding(VOCAB_SIZE, EMBEDDING_DIM))
    return TextEncoder(embedding, recurrent, reverse=reverse, dropout=dropout).eval()


@pytest.fixture
def source() -> SourceBatch:
    """Sentences of LENGTHS; padding is filled with arbitrary tokens instead of a padding token."""
    return SourceBatch(torch.randint(VOCAB_SIZE, (4, 6)), torch.arange(6) < torch.tensor(LENGTHS)[:, None])


def alone(source: SourceBatch, sentence: int) -> SourceBatch:
    row, length = slice(sentence, sentence + 1), LENGTHS[sentence]
    return SourceBatch(source.values[row, :length], source.mask[row, :length])


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────


@every_cell
@one_or_two_directions
@one_or_two_layers
@either_order
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
@either_order
def test_no_gradient_reaches_padding(cell, bidirectional, num_layers, reverse, source):
    encoder = build(cell=cell, bidirectional=bidirectional, num_layers=num_layers, reverse=reverse)
    inputs = []
    encoder.frontend.embedding.register_forward_hook(lambda module, arguments, output: inputs.append(output))
    memory = encoder(source)
    inputs[0].retain_grad()
    (memory.states[source.mask].sum() + memory.summary.sum()).backward()
    assert (inputs[0].grad[~source.mask] == 0).all()
    assert (inputs[0].grad[source.mask] != 0).any(dim=-1).all()


@every_cell
@one_or_two_directions
@one_or_two_layers
@either_order
def test_a_memory_has_a_state_for_each_token_and_one_summary(cell, bidirectional, num_layers, reverse, source):
    encoder = build(cell=cell, bidirectional=bidirectional, num_layers=num_layers, reverse=reverse)
    memory = encoder(source)
    assert encoder.dim == HIDDEN_DIM * (2 if bidirectional else 1)
    assert memory.states.shape == (4, 6, encoder.dim)
    assert memory.summary.shape == (4, encoder.dim)
    assert memory.mask.equal(source.mask)


@every_cell
@one_or_two_layers
def test_reverse_equals_encoding_the_reversed_sentence_and_reversing_its_states(cell, num_layers, source):
    plain = build(cell=cell, num_layers=num_layers, bidirectional=False)
    reverse = build(cell=cell, num_layers=num_layers, bidirectional=False, reverse=True)
    reverse.load_state_dict(plain.state_dict())
    memory = reverse(source)
    for row, length in enumerate(LENGTHS):
        backwards = SourceBatch(source.values[row : row + 1, :length].flip(1), source.mask[row : row + 1, :length])
        expected = plain(backwards)
        assert_close(memory.states[row, :length], expected.states[0].flip(0))
        assert_close(memory.summary[row], expected.summary[0])


@either_order
@one_or_two_directions
def test_a_state_depends_on_the_tokens_before_it_and_with_two_directions_on_all(bidirectional, reverse, source):
    encoder = build(bidirectional=bidirectional, reverse=reverse)
    before = encoder(source).states[0]
    values = source.values.clone()
    values[0, 2] = (values[0, 2] + 1) % VOCAB_SIZE
    changed = (encoder(SourceBatch(values, source.mask)).states[0] != before).any(dim=-1).tolist()
    one_direction = [position <= 2 if reverse else position >= 2 for position in range(6)]
    assert changed == ([True] * 6 if bidirectional else one_direction)


def test_dropout_is_for_training_only(source):
    encoder = build(dropout=0.5, num_layers=2)
    assert_close(encoder(source).states, encoder(source).states, rtol=0, atol=0)
    encoder.train()
    assert not encoder(source).states.equal(encoder(source).states)


def test_the_segments_of_a_text_are_its_sentences():
    embedding, recurrent = TokenEmbedding(nn.Embedding(9, EMBEDDING_DIM)), RecurrentEncoder(EMBEDDING_DIM, HIDDEN_DIM)
    tokens = torch.tensor([[6, 4, 7, 4, 5, 8, 4, 3], [6, 7, 8, 6, 7, 4, 3, 0]])  # 3 ends the text, 0 is padding
    source = SourceBatch(tokens, tokens != 0)
    memory = TextEncoder(embedding, recurrent, sentence_end_ids=[4, 5])(source)
    assert memory.segment_ids.tolist() == [[0, 0, 1, 1, 1, 2, 2, 2], [0] * 8]
    assert TextEncoder(embedding, recurrent)(source).segment_ids is None


def test_the_token_ids_of_a_memory_are_those_of_the_target_vocabulary(source):
    embedding, recurrent = (
        TokenEmbedding(nn.Embedding(VOCAB_SIZE, EMBEDDING_DIM)),
        RecurrentEncoder(EMBEDDING_DIM, HIDDEN_DIM),
    )
    assert TextEncoder(embedding, recurrent)(source).token_ids.equal(source.values)
    encoder = TextEncoder(embedding, recurrent, target_vocab_ids=torch.arange(VOCAB_SIZE) + 100)
    assert encoder(source).token_ids.equal(source.values + 100)
    assert "target_vocab_ids" not in encoder.state_dict()


# ── Recurrent ───────────────────────────────────────────────────────────────────────────────────────────────


@every_cell
@one_or_two_directions
@one_or_two_layers
def test_recurrent_encoder_equals_torchs_rnn_over_packed_sequences(cell, bidirectional, num_layers, source):
    recurrent = RecurrentEncoder(
        EMBEDDING_DIM, HIDDEN_DIM, cell=cell, num_layers=num_layers, bidirectional=bidirectional, dropout=0.0
    ).eval()
    reference = CELLS[cell](EMBEDDING_DIM, HIDDEN_DIM, num_layers, bidirectional=bidirectional, batch_first=True)
    for index, layer in enumerate(recurrent.layers):
        for rnn, suffix in zip(layer, ("", "_reverse"), strict=False):
            for name, weight in rnn.named_parameters():
                getattr(reference, name.replace("l0", f"l{index}") + suffix).data.copy_(weight)
    inputs = torch.randn(4, 6, EMBEDDING_DIM)
    packed = pack_padded_sequence(inputs, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    states, final = reference(packed)
    states, _ = pad_packed_sequence(states, batch_first=True)
    hidden = final[0] if cell == "lstm" else final  # (layers * directions, batch, hidden)
    top = hidden[-2:] if bidirectional else hidden[-1:]
    memory = recurrent(inputs, source.mask)
    assert_close(memory.states[source.mask], states[source.mask])
    assert_close(memory.summary, torch.cat(top.unbind(0), dim=-1))


def test_reverse_padded_reverses_real_positions_and_leaves_padding_in_place(source):
    states = torch.randn(4, 6, 2)
    reversed_states = reverse_padded(states, source.mask)
    for row, length in enumerate(LENGTHS):
        assert reversed_states[row, :length].equal(states[row, :length].flip(0))
        assert reversed_states[row, length:].equal(states[row, length:])
    assert reverse_padded(reversed_states, source.mask).equal(states)


# ── Memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_selecting_from_a_memory_gives_the_selected_sentences_in_their_order(source):
    encoder, rows = build(), torch.tensor([2, 0, 2])
    selected = encoder(source).select(rows)
    expected = encoder(SourceBatch(source.values[rows], source.mask[rows]))
    assert_close(selected.states, expected.states)
    assert_close(selected.summary, expected.summary)
    assert selected.mask.equal(expected.mask)
