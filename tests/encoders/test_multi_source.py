"""The encoder of several sources: the order of its states, its segments, and that padding changes nothing."""

import pytest
import torch
from torch.testing import assert_close

from attention.build import build_attention
from attention.config import AttentionConfig
from encoders.base import Encoder, IdentityFrontend, SourceBatch
from encoders.multi_source import FeatureFusion, MultiSourceEncoder, StateFusion, build_fusion, order_by_time
from encoders.recurrent import RecurrentEncoder
from encoders.speech import SpeechEncoder


def sources(lengths: list[list[int]], dims: tuple[int, ...] = (4, 6)) -> SourceBatch:
    """Random features for each source; padding is random, too."""
    batches = []
    for own, dim in zip(lengths, dims, strict=True):
        mask = torch.arange(max(own)) < torch.tensor(own)[:, None]
        batches.append(SourceBatch(torch.randn(len(own), max(own), dim), mask))
    first, *others = batches
    return SourceBatch(first.values, first.mask, others=tuple(others))


def encoder_of(dim: int) -> Encoder:
    return SpeechEncoder(
        IdentityFrontend(dim), lambda input_dim, layers, is_top: RecurrentEncoder(input_dim, 8), num_layers=1
    )


@pytest.fixture
def encoder() -> StateFusion:
    return StateFusion([encoder_of(4), encoder_of(6)], 10).eval()


def test_states_are_in_the_order_of_their_time_and_padding_is_last():
    masks = [torch.tensor([[1, 1, 0], [1, 1, 1]]).bool(), torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]).bool()]
    order, mask = order_by_time(masks)
    # Two states at 1/4 and 3/4 among four at 1/8, 3/8, 5/8 and 7/8; three around one in the middle, the first first.
    assert order[0].tolist() == [3, 0, 4, 5, 1, 6]
    assert order[1, :4].tolist() == [0, 1, 3, 2]
    assert mask.tolist() == [[True] * 6, [True] * 4 + [False] * 2]


def test_the_memory_holds_the_projected_states_of_all_encoders(encoder):
    batch = sources([[3, 5], [6, 2]])
    memory = encoder(batch)
    assert memory.states.shape == (2, 9, encoder.dim)
    assert memory.mask.sum(dim=1).tolist() == [9, 7]
    parts = (batch, *batch.others)
    alone = [own(part).states for own, part in zip(encoder.encoders, parts, strict=True)]
    for row in range(2):
        for place, (states, project) in enumerate(zip(alone, encoder.state_proj, strict=True)):
            assert memory.segment_ids is not None
            own = memory.states[row][(memory.segment_ids[row] == place) & memory.mask[row]]
            assert_close(own, project(states[row, : int(parts[place].mask[row].sum())]))


@pytest.mark.parametrize("fusion", ["features", "states"])
def test_padding_changes_nothing(fusion):
    encoder: MultiSourceEncoder = build_fusion(fusion, [encoder_of(4), encoder_of(6)], 10).eval()
    batch = sources([[3, 5, 1], [6, 2, 4]])
    memory = encoder(batch)
    for row in range(3):
        first, second = (
            SourceBatch(part.values[row : row + 1, :length], part.mask[row : row + 1, :length])
            for part in (batch, *batch.others)
            for length in [int(part.mask[row].sum())]
        )
        alone = encoder(SourceBatch(first.values, first.mask, others=(second,)))
        length = alone.states.size(1)
        assert memory.mask[row].tolist() == [True] * length + [False] * (memory.states.size(1) - length)
        assert_close(memory.states[row, :length], alone.states[0])
        assert_close(memory.summary[row], alone.summary[0])


@pytest.mark.parametrize(
    ("num_seen", "num_heard", "places"), [(3, 6, [1, 3, 5]), (5, 2, [0, 0, 1, 1, 1]), (2, 2, [0, 1])]
)
def test_features_of_the_same_time_are_fused(num_seen, num_heard, places):
    encoder = FeatureFusion([encoder_of(4), encoder_of(6)], 10).eval()
    batch = sources([[num_seen, 7], [num_heard, 8]])
    seen, heard = (own(part).states[0] for own, part in zip(encoder.encoders, (batch, *batch.others), strict=True))
    memory = encoder(batch)
    assert memory.segment_ids is None
    expected = encoder.state_proj(torch.cat([seen[:num_seen], heard[places]], dim=1))
    assert_close(memory.states[0, :num_seen], expected)


def test_hierarchical_attention_chooses_a_source_first(encoder):
    attention = build_attention(AttentionConfig(score="general", hierarchy="hierarchical"), 7, encoder.dim)
    memory = encoder(sources([[3, 5], [6, 2]]))
    key_values = attention.prepare(memory)
    weights = attention(torch.randn(2, 4, 7), key_values, attention.init_state(key_values).expand_steps(4)).weights
    assert key_values.segments is not None
    assert key_values.segments.keys.size(1) == 2
    assert weights is not None
    assert_close(weights.sum(dim=-1), torch.ones(2, 4))


def test_a_batch_moves_with_all_its_sources():
    moved = sources([[2], [3]]).to(torch.device("meta"))
    assert [part.values.device.type for part in (moved, *moved.others)] == ["meta", "meta"]
