"""The Transformer as a decoder: what was written is looked at by self-attention, and the memory by any attention."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from attention import (
    NO_ATTENTION_LOSSES,
    Attention,
    AttentionLossWeights,
    AttentionOutput,
    FixedContext,
    KeyValues,
    ReinforceLoss,
    SampleInfo,
)
from attention.positions import PositionName, build_positions
from attention.self_attention import FeedForward, KVCache, SelfAttention
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import DecoderOutput, DecoderState
from encoders.base import Memory


@dataclass(frozen=True)
class LayerState:
    """What a layer remembers: keys and values of the tokens so far (None before the first), the memory, once a
    sentence, and what its attention remembers."""

    lookup: KeyValues
    written: KVCache | None = None
    past: Float[Tensor, "rows 1 ..."] | None = None

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "LayerState":
        """See State.select."""
        flat = rows.flatten()
        hypotheses = self.lookup.batch_size if self.written is None else self.written[0].size(0)
        return LayerState(
            self.lookup.reorder(rows, hypotheses),
            None if self.written is None else (self.written[0][flat], self.written[1][flat]),
            None if self.past is None else self.past[flat],
        )


@dataclass(frozen=True)
class TransformerDecoderState(DecoderState):
    layers: tuple[LayerState, ...]
    length: int = 0  # tokens read

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "TransformerDecoderState":
        return replace(self, layers=tuple(layer.select(rows) for layer in self.layers))


class TransformerDecoder(AutoregressiveDecoder[TransformerDecoderState]):
    """Attention alone (Vaswani et al. 2017), with norms before what they normalise, as in encoders/transformer.py.

    Each layer looks at the memory by an attention of its own, and that may be any: with many heads and scaled dot
    products it is the Transformer as published. The weights shown are those of the last layer. Keys and values of what
    was written are kept, so a step costs one token. The memory's summary is seen only by attention that is none.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        attentions: Sequence[Attention],
        dim: int,
        *,
        num_heads: int,
        positions: PositionName = "sinusoidal",
        tie_embeddings: bool = True,
        dropout: float = 0.0,
        attention_losses: AttentionLossWeights = NO_ATTENTION_LOSSES,
        reinforce_loss: ReinforceLoss | None = None,
    ):
        """``attentions``: one a layer, for queries of ``dim`` features."""
        super().__init__()
        embedding_dim = embedding.embedding_dim
        self.embedding = embedding
        self.project = nn.Identity() if embedding_dim == dim else nn.Linear(embedding_dim, dim)
        self.scale = nn.LayerNorm(dim)
        self.positions = build_positions(positions, dim)
        self.layers = nn.ModuleList(
            DecoderLayer(attention, dim, num_heads, rotary=positions == "rotary", dropout=dropout)
            for attention in attentions
        )
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        readout_dim = embedding_dim if tie_embeddings else dim
        self.combine = nn.Identity() if readout_dim == dim else nn.Linear(dim, readout_dim)
        self.output = nn.Linear(readout_dim, embedding.num_embeddings)
        if tie_embeddings:
            self.output.weight = embedding.weight
        self.attention_losses = attention_losses
        self.reinforce_loss = reinforce_loss

    def start(self, memory: Memory) -> TransformerDecoderState:
        return TransformerDecoderState(tuple(LayerState(layer.attention.start(memory)) for layer in self.stack))

    def step(
        self, tokens: Int[Tensor, " rows"], state: TransformerDecoderState
    ) -> tuple[DecoderOutput, TransformerDecoderState]:
        return self.read(tokens[:, None], state)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        return self.read(tokens, self.start(memory))[0]

    def read(
        self, tokens: Int[Tensor, "rows target"], state: TransformerDecoderState
    ) -> tuple[DecoderOutput, TransformerDecoderState]:
        """All of a sentence's tokens from the start, or the next one of each hypothesis."""
        states = self.scale(self.project(self.embedding(tokens)))
        states = self.dropout(self.positions(states, state.length))
        attended_layers: list[AttentionOutput] = []
        following: list[LayerState] = []
        for layer, own in zip(self.stack, state.layers, strict=True):
            states, attended, after = layer(states, own)
            attended_layers.append(attended)
            following.append(after)
        features = self.dropout(self.combine(self.norm(states)))
        readout = DecoderOutput(
            features,
            attended_layers[-1].weights,
            SampleInfo.together([attended.sample for attended in attended_layers]),
        )
        return readout, TransformerDecoderState(tuple(following), state.length + tokens.size(1))

    @property
    def stack(self) -> "list[DecoderLayer]":
        return cast("list[DecoderLayer]", list(self.layers))

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)


class DecoderLayer(nn.Module):
    """Self-attention over what was written, attention to the memory, and a feed-forward network, each added to what
    came in (He et al. 2016)."""

    def __init__(self, attention: Attention, dim: int, num_heads: int, *, rotary: bool, dropout: float):
        super().__init__()
        # What does not look at its queries would leave a norm of theirs without a gradient.
        of_queries = nn.Identity() if isinstance(attention, FixedContext) else nn.LayerNorm(dim)
        self.norms = nn.ModuleList([nn.LayerNorm(dim), of_queries, nn.LayerNorm(dim)])
        self.self_attention = SelfAttention(dim, num_heads, rotary=rotary, dropout=dropout)
        self.attention = attention
        self.context = nn.Linear(attention.dim, dim)
        self.feed_forward = FeedForward(dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "rows target dim"], state: LayerState
    ) -> tuple[Float[Tensor, "rows target dim"], AttentionOutput, LayerState]:
        written, cache = self.self_attention(self.norms[0](states), causal=True, past=state.written)
        states = states + self.dropout(written)
        queries = self.norms[1](states)
        if states.size(1) == 1:
            attended = self.attention.attend_step(queries.squeeze(1), state.lookup, state.past)
        else:
            attended = self.attention.attend_sequence(queries, state.lookup)
        states = states + self.dropout(self.context(attended.context))
        states = states + self.dropout(self.feed_forward(self.norms[2](states)))
        past = None if attended.past is None else attended.past[:, -1:]
        return states, attended, LayerState(state.lookup, cache, past)
