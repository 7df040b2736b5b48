"""The Transformer as a decoder: what was written is looked at by self-attention, and the memory by any attention."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from attention import NO_LOSSES, Attention, Drawn, Glance, LookLosses, Lookup, NoAttention, Reinforce
from attention.positions import PositionName, build_positions
from attention.self_attention import Cache, FeedForward, SelfAttention
from decoders.autoregressive import Stepwise
from decoders.base import Readout, State
from encoders.base import Memory


@dataclass(frozen=True)
class LayerState:
    """What a layer remembers: keys and values of the tokens so far (None before the first), the memory, once a
    sentence, and what its attention remembers."""

    lookup: Lookup
    written: Cache | None = None
    past: Float[Tensor, "rows 1 ..."] | None = None

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "LayerState":
        """See State.select."""
        flat = rows.flatten()
        hypotheses = self.lookup.batch_size if self.written is None else self.written[0].size(0)
        return LayerState(
            self.lookup.follow(rows, hypotheses),
            None if self.written is None else (self.written[0][flat], self.written[1][flat]),
            None if self.past is None else self.past[flat],
        )


@dataclass(frozen=True)
class TransformerState(State):
    layers: tuple[LayerState, ...]
    length: int = 0  # tokens read

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "TransformerState":
        return replace(self, layers=tuple(layer.select(rows) for layer in self.layers))


class TransformerDecoder(Stepwise[TransformerState]):
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
        tied: bool = True,
        dropout: float = 0.0,
        losses: LookLosses = NO_LOSSES,
        reinforce: Reinforce | None = None,
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
        readout_dim = embedding_dim if tied else dim
        self.combine = nn.Identity() if readout_dim == dim else nn.Linear(dim, readout_dim)
        self.output = nn.Linear(readout_dim, embedding.num_embeddings)
        if tied:
            self.output.weight = embedding.weight
        self.losses = losses
        self.reinforce = reinforce

    def start(self, memory: Memory) -> TransformerState:
        return TransformerState(tuple(LayerState(layer.attention.start(memory)) for layer in self.stack))

    def step(self, tokens: Int[Tensor, " rows"], state: TransformerState) -> tuple[Readout, TransformerState]:
        return self.read(tokens[:, None], state)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Readout:
        return self.read(tokens, self.start(memory))[0]

    def read(self, tokens: Int[Tensor, "rows target"], state: TransformerState) -> tuple[Readout, TransformerState]:
        """All of a sentence's tokens from the start, or the next one of each hypothesis."""
        states = self.scale(self.project(self.embedding(tokens)))
        states = self.dropout(self.positions(states, state.length))
        glances: list[Glance] = []
        following: list[LayerState] = []
        for layer, own in zip(self.stack, state.layers, strict=True):
            states, glance, after = layer(states, own)
            glances.append(glance)
            following.append(after)
        features = self.dropout(self.combine(self.norm(states)))
        readout = Readout(features, glances[-1].weights, Drawn.together([glance.drawn for glance in glances]))
        return readout, TransformerState(tuple(following), state.length + tokens.size(1))

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
        of_queries = nn.Identity() if isinstance(attention, NoAttention) else nn.LayerNorm(dim)
        self.norms = nn.ModuleList([nn.LayerNorm(dim), of_queries, nn.LayerNorm(dim)])
        self.self_attention = SelfAttention(dim, num_heads, rotary=rotary, dropout=dropout)
        self.attention = attention
        self.context = nn.Linear(attention.dim, dim)
        self.feed_forward = FeedForward(dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "rows target dim"], state: LayerState
    ) -> tuple[Float[Tensor, "rows target dim"], Glance, LayerState]:
        written, cache = self.self_attention(self.norms[0](states), causal=True, past=state.written)
        states = states + self.dropout(written)
        queries = self.norms[1](states)
        if states.size(1) == 1:
            glance = self.attention.attend_each(queries.squeeze(1), state.lookup, state.past)
        else:
            glance = self.attention.attend_along(queries, state.lookup)
        states = states + self.dropout(self.context(glance.context))
        states = states + self.dropout(self.feed_forward(self.norms[2](states)))
        past = None if glance.past is None else glance.past[:, -1:]
        return states, glance, LayerState(state.lookup, cache, past)
