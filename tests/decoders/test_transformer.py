"""Transformer: equal to the layers of torch, cached steps equal to one pass, and any attention to the memory."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from attention.build import build_attention, build_reinforce_loss
from attention.config import AttentionConfig
from attention.memory import Memory
from attention.multihead import MultiHeadAttention
from attention.positions import MAX_POSITIONS, Learned, Sinusoidal, apply_rotary
from attention.score_functions import ScaledDot
from attention.scored import ScoredAttention
from attention.self_attention import SelfAttention
from decoders.config import SearchConfig
from decoders.transformer import DecoderLayer, TransformerDecoder
from encoders.transformer import TransformerEncoder, TransformerEncoderLayer

VOCAB, EMBEDDING, DIM, MEMORY = 11, 6, 8, 4
LENGTHS = [5, 2, 3]
POSITIONS = ("sinusoidal", "learned", "rotary")
ATTENTIONS = {
    "multi-head": AttentionConfig(score="scaled_dot", num_heads=2),
    "none": AttentionConfig(score="none"),
    "location": AttentionConfig(score="location", hidden_dim=4),
    "local_m": AttentionConfig(score="general", locality="local_m", window_size=1.0, num_heads=2),
    "monotonic hierarchy": AttentionConfig(score="dot", locality="monotonic", hierarchy="hierarchical", segment_size=2),
    "hard": AttentionConfig(score="additive", selection="hard", hidden_dim=4),
}

every_position = pytest.mark.parametrize("positions", POSITIONS)
every_attention = pytest.mark.parametrize("attention", ATTENTIONS)


def build(attention: str = "multi-head", positions: str = "sinusoidal", **choices) -> TransformerDecoder:
    config = ATTENTIONS[attention]
    return TransformerDecoder(
        nn.Embedding(VOCAB, EMBEDDING),
        [build_attention(config, DIM, MEMORY) for _ in range(2)],
        DIM,
        num_heads=2,
        positions=positions,
        reinforce_loss=build_reinforce_loss(config),
        **choices,
    ).eval()


# ── Against the layers of torch ─────────────────────────────────────────────────────────────────────────────────────


def copy_self_attention(own: SelfAttention, other: nn.MultiheadAttention) -> None:
    other.in_proj_weight.data.copy_(own.qkv_proj.weight)
    other.out_proj.weight.data.copy_(own.out_proj.weight)
    for bias in (other.in_proj_bias, other.out_proj.bias):
        bias.data.zero_()


@torch.no_grad()
def test_an_encoder_layer_equals_that_of_torch(make_memory):
    own = TransformerEncoderLayer(DIM, 2, rotary=False, dropout=0.0).eval()
    other = nn.TransformerEncoderLayer(DIM, 2, 4 * DIM, dropout=0.0, batch_first=True, norm_first=True).eval()
    copy_self_attention(own.attention, other.self_attn)
    pairs = [(own.norms[0], other.norm1), (own.norms[1], other.norm2)]
    pairs += [(own.feed_forward.fc1, other.linear1), (own.feed_forward.fc2, other.linear2)]
    for ours, theirs in pairs:
        theirs.load_state_dict(ours.state_dict())
    memory = make_memory(LENGTHS, DIM)
    expected = other(memory.states, src_key_padding_mask=~memory.mask)
    assert_close(own(memory.states, memory.mask)[memory.mask], expected[memory.mask])


@torch.no_grad()
def test_a_decoder_layer_with_scaled_dot_products_and_heads_equals_that_of_torch(make_memory):
    attention = MultiHeadAttention(ScoredAttention(ScaledDot(DIM // 2, DIM // 2), DIM // 2), DIM, DIM, num_heads=2)
    own = DecoderLayer(attention, DIM, 2, rotary=False, dropout=0.0).eval()
    other = nn.TransformerDecoderLayer(DIM, 2, 4 * DIM, dropout=0.0, batch_first=True, norm_first=True).eval()
    copy_self_attention(own.self_attention, other.self_attn)
    weights = (attention.query_proj.weight, attention.key_proj.weight, attention.value_proj.weight)
    other.multihead_attn.in_proj_weight.copy_(torch.cat(weights))
    other.multihead_attn.in_proj_bias.zero_()
    other.multihead_attn.out_proj.weight.copy_(own.context.weight @ attention.out_proj.weight)
    other.multihead_attn.out_proj.bias.copy_(own.context.bias)
    for ours, theirs in zip(own.norms, (other.norm1, other.norm2, other.norm3), strict=True):
        theirs.load_state_dict(ours.state_dict())
    other.linear1.load_state_dict(own.feed_forward.fc1.state_dict())
    other.linear2.load_state_dict(own.feed_forward.fc2.state_dict())
    memory, targets = make_memory(LENGTHS, DIM), torch.randn(3, 4, DIM)
    expected = other(
        targets,
        memory.states,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(4),
        memory_key_padding_mask=~memory.mask,
    )
    found, _ = own(targets, attention.prepare(memory))
    assert_close(found, expected)


# ── Positions ───────────────────────────────────────────────────────────────────────────────────────────────


def test_sinusoids_are_the_published_ones_with_sines_first():
    found = Sinusoidal()(torch.zeros(1, 4, 6), offset=3)
    for position in range(4):
        angles = [(position + 3) / 10_000 ** (2 * pair / 6) for pair in range(3)]
        expected = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        assert_close(found[0, position].tolist(), expected, rtol=1e-5, atol=1e-6)


def test_rotary_products_depend_only_on_the_distance():
    query, key = torch.randn(2, 1, 1, 1, DIM, dtype=torch.float64)

    def product(query_position: int, key_position: int) -> Tensor:
        return (apply_rotary(query, query_position) * apply_rotary(key, key_position)).sum()

    assert_close(product(7, 3), product(14, 10), rtol=1e-5, atol=1e-6)
    assert_close(product(4, 4), (query * key).sum())
    assert abs(product(7, 3) - product(7, 4)) > 1e-3


def test_learned_positions_have_no_maximum():
    positions, states = Learned(DIM), torch.zeros(1, 3, DIM)
    assert_close(positions(states, offset=1)[0], positions.vectors[1:4])
    assert_close(positions(states, offset=MAX_POSITIONS - 1)[0, 2], positions.vectors[-1])


# ── The encoder ─────────────────────────────────────────────────────────────────────────────────────────────


@every_position
def test_padding_changes_no_real_state_and_no_summary(positions, make_memory, alone):
    encoder = TransformerEncoder(MEMORY, DIM, num_layers=2, num_heads=2, positions=positions, dropout=0.3).eval()
    batch = make_memory(LENGTHS, MEMORY)
    together = encoder(batch.states, batch.mask)
    assert together.states.shape == (3, 5, encoder.dim)
    for row, length in enumerate(LENGTHS):
        single = alone(batch, row)
        found = encoder(single.states, single.mask)
        assert_close(found.states[0], together.states[row, :length])
        assert_close(found.summary[0], together.summary[row])


@every_position
def test_an_encoder_depends_on_the_order(positions):
    encoder = TransformerEncoder(MEMORY, DIM, num_layers=1, num_heads=2, positions=positions, dropout=0.0)
    states, mask = torch.randn(1, 4, MEMORY), torch.ones(1, 4, dtype=torch.bool)
    forward, backward = encoder(states, mask).states, encoder(states.flip(1), mask).states.flip(1)
    assert (forward - backward).abs().max() > 1e-3


def test_heads_that_do_not_divide_are_refused_in_one_line():
    with pytest.raises(ValueError, match="num_heads is 3, which does not divide the dimension 8 into equal parts"):
        SelfAttention(DIM, 3)
    with pytest.raises(ValueError, match=r"num_heads is 8, .* into even parts"):
        SelfAttention(DIM, 8, rotary=True)


# ── The decoder ─────────────────────────────────────────────────────────────────────────────────────────────


@every_attention
@every_position
def test_forward_equals_repeated_step(attention, positions, make_memory):
    decoder, memory = build(attention, positions), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(VOCAB, (3, 4))
    at_once, by_step = decoder(tokens, memory), decoder.unroll(tokens, memory)
    assert_close(by_step.features, at_once.features, rtol=1e-5, atol=1e-5)
    assert (at_once.weights is None) == (attention == "none")
    if at_once.weights is not None:
        assert_close(by_step.weights, at_once.weights, rtol=1e-5, atol=1e-5)


@every_attention
def test_a_token_does_not_depend_on_later_tokens(attention, make_memory):
    decoder, memory = build(attention), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(VOCAB, (3, 5))
    changed = tokens.clone()
    changed[:, 3] = (changed[:, 3] + 1) % VOCAB
    before, after = (decoder(each, memory).features for each in (tokens, changed))
    assert_close(before[:, :3], after[:, :3])
    assert ((before[:, 3:] - after[:, 3:]).abs().amax(dim=(1, 2)) > 1e-4).all()


@every_attention
def test_padding_of_the_memory_changes_nothing(attention, make_memory, alone):
    decoder, memory = build(attention), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(VOCAB, (3, 4))
    together = decoder(tokens, memory)
    for row in range(3):
        assert_close(decoder(tokens[[row]], alone(memory, row)).features[0], together.features[row])


@every_attention
@every_position
def test_a_reordered_beam_equals_the_one_computed_from_scratch(attention, positions, make_memory):
    decoder, memory = build(attention, positions), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(VOCAB, (3, 2))
    state = decoder.init_state(memory)
    for token in tokens.unbind(1):
        _, state = decoder.step(token, state)
    state = state.reorder(torch.tensor([[0, 0], [1, 1], [2, 2]]))
    second = torch.randint(VOCAB, (6,))
    _, state = decoder.step(second, state)
    chosen = torch.tensor([[1, 0], [5, 4]])  # the middle sentence leaves the batch
    state = state.reorder(chosen)
    third = torch.randint(VOCAB, (4,))
    output, _ = decoder.step(third, state)
    sentences = (chosen // 2).flatten()
    history = torch.cat([tokens[sentences], second[chosen.flatten()][:, None], third[:, None]], dim=1)
    expected = decoder(history, memory.select(sentences))
    assert_close(output.features, expected.features[:, -1:], rtol=1e-5, atol=1e-5)
    if expected.weights is not None:
        assert_close(output.weights, expected.weights[:, -1:], rtol=1e-5, atol=1e-5)


def test_no_memory_is_copied_for_a_beam(make_memory):
    decoder, memory = build(), make_memory(LENGTHS, MEMORY)
    first = decoder.init_state(memory)
    beam = first.reorder(torch.arange(3)[:, None].expand(-1, 4))
    _, stepped = decoder.step(torch.randint(VOCAB, (12,)), beam)
    reordered = stepped.reorder(torch.arange(12).view(3, 4).flip(1))
    for before, after in zip(first.layers, reordered.layers, strict=True):
        assert before.key_values.keys is after.key_values.keys


@every_attention
@every_position
@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_gradients_reach_every_parameter(attention, positions, tie_embeddings, make_memory):
    decoder, memory = build(attention, positions, tie_embeddings=tie_embeddings).train(), make_memory(LENGTHS, MEMORY)
    memory = Memory(memory.states.clamp(-3, 3), memory.mask, memory.summary)
    decoder.loss(torch.randint(4, VOCAB, (3, 5)), memory).total.backward()
    unreached = [name for name, weight in decoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert unreached == []


@every_attention
def test_it_works_with_any_search(attention, make_memory):
    decoder, memory = build(attention), make_memory(LENGTHS, MEMORY)
    greedy = decoder.search(memory, SearchConfig(beam=1, max_length=5))
    for row in range(3):
        tokens = torch.tensor([[2, *greedy[row][0].tokens]])
        logits = decoder.logits(decoder(tokens, memory.select(torch.tensor([row]))).features)
        logits[..., :3] = -math.inf  # PAD, UNK and BOS are never generated
        logits[:, 0, 3] = -math.inf  # nor an empty sentence
        predicted = logits.argmax(dim=-1)[0].tolist()
        assert predicted[: len(greedy[row][0].tokens)] == greedy[row][0].tokens
    assert all(len(found) == 3 for found in decoder.search(memory, SearchConfig(beam=4, n_best=3, max_length=5)))


def test_hard_attention_of_all_layers_is_learned(make_memory):
    decoder, memory = build("hard").train(), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(4, VOCAB, (3, 5))
    output = decoder(tokens, memory)
    assert output.sample.log_prob.shape == (3, 5)
    decoder.loss(tokens, memory).total.backward()
    assert all(layer.attention.score.v.weight.grad.any() for layer in decoder.layers)


def test_with_hard_attention_the_value_of_the_loss_is_the_cross_entropy(make_memory):
    decoder, memory = build("hard").eval(), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(4, VOCAB, (3, 5))
    logits = decoder.logits(decoder(tokens[:, :-1], memory).features)
    expected = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum")
    assert_close(decoder.loss(tokens, memory).total, expected)
