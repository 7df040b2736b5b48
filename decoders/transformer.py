"""The Transformer decoder: self-attention over the target so far, and any attention to the memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from attention.base import Attention, AttentionOutput
from attention.config import PositionName
from attention.dropout import Dropout
from attention.hard import ReinforceLoss
from attention.key_values import KeyValues
from attention.losses import NO_ATTENTION_LOSSES, AttentionLossWeights
from attention.memory import Memory
from attention.positions import build_positions
from attention.self_attention import FeedForward, KVCache, SelfAttention
from attention.state import AttentionState, SampleInfo
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import DecoderOutput, DecoderState


@dataclass(frozen=True)
class LayerState:
    """The state of a layer.

    Attributes:
        key_values: Keys and values of the memory, one row for each sentence.
        attention_state: The state of the attention to the memory, one row for each hypothesis.
        kv_cache: Keys and values of the self-attention for the tokens so far; None before the first.
    """

    key_values: KeyValues
    attention_state: AttentionState
    kv_cache: KVCache | None = None

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "LayerState":
        """See :meth:`DecoderState.reorder`."""
        flat, cache = rows.flatten(), self.kv_cache
        num_hypotheses = self.key_values.batch_size if cache is None else cache[0].size(0)
        return LayerState(
            self.key_values.reorder(rows, num_hypotheses),
            self.attention_state.reorder(flat),
            None if cache is None else (cache[0][flat], cache[1][flat]),
        )


@dataclass(frozen=True)
class TransformerDecoderState(DecoderState):
    """The states of all layers, and the number of tokens read so far."""

    layers: tuple[LayerState, ...]
    length: int = 0

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "TransformerDecoderState":
        return TransformerDecoderState(tuple(layer.reorder(rows) for layer in self.layers), self.length)


class TransformerDecoder(AutoregressiveDecoder[TransformerDecoderState]):
    """Transformer decoder (Vaswani et al. 2017) with pre-layer normalization, as in encoders/transformer.py.

    Each layer has an attention of its own to the memory, which may be of any kind; with scaled dot products and several
    heads it is the published Transformer. The output has the weights of the last layer. Keys and values of the tokens
    so far are cached, so a step processes one token. The memory's summary is used by FixedContext only.
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
        """Build the decoder.

        Args:
            embedding: The embedding of target tokens.
            attentions: The attention to the memory of each layer, for queries of ``dim`` features.
            dim: Size of the states.
            num_heads: Heads of the self-attention.
            positions: Position encoding.
            tie_embeddings: Use the embedding as the output matrix.
            dropout: Dropout probability.
            attention_losses: Weights of the auxiliary attention losses, applied to the last layer.
            reinforce_loss: The loss of sampled attention, for all layers together.

        Raises:
            ValueError: if ``num_heads`` does not divide ``dim``.
        """
        super().__init__()
        embedding_dim = embedding.embedding_dim
        self.embedding = embedding
        self.input_proj = nn.Identity() if embedding_dim == dim else nn.Linear(embedding_dim, dim)
        self.input_norm = nn.LayerNorm(dim)
        self.positions = build_positions(positions, dim)
        self.layers = nn.ModuleList(
            DecoderLayer(attention, dim, num_heads, rotary=positions == "rotary", dropout=dropout)
            for attention in attentions
        )
        self.has_alignment = attentions[-1].has_weights
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)
        feature_dim = embedding_dim if tie_embeddings else dim
        self.combine = nn.Identity() if feature_dim == dim else nn.Linear(dim, feature_dim)
        self.output = nn.Linear(feature_dim, embedding.num_embeddings)
        if tie_embeddings:
            self.output.weight = embedding.weight
        self.attention_losses = attention_losses
        self.reinforce_loss = reinforce_loss

    def init_state(self, memory: Memory) -> TransformerDecoderState:
        layers = []
        for layer in self.decoder_layers:
            key_values = layer.attention.prepare(memory)
            layers.append(LayerState(key_values, layer.attention.init_state(key_values)))
        return TransformerDecoderState(tuple(layers))

    def step(
        self, tokens: Int[Tensor, " rows"], state: TransformerDecoderState
    ) -> tuple[DecoderOutput, TransformerDecoderState]:
        states = self.embed(tokens[:, None], state.length)
        outputs: list[AttentionOutput] = []
        next_states: list[LayerState] = []
        for layer, layer_state in zip(self.decoder_layers, state.layers, strict=True):
            states, attended, next_state = layer.step(states, layer_state)
            outputs.append(attended)
            next_states.append(next_state)
        return self.to_output(states, outputs), TransformerDecoderState(tuple(next_states), state.length + 1)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        states = self.embed(tokens, 0)
        outputs: list[AttentionOutput] = []
        for layer in self.decoder_layers:
            states, attended = layer(states, layer.attention.prepare(memory))
            outputs.append(attended)
        return self.to_output(states, outputs)

    def embed(self, tokens: Int[Tensor, "rows target"], first_position: int) -> Float[Tensor, "rows target dim"]:
        """Return the input of the first layer, for tokens from ``first_position`` on."""
        states = self.input_norm(self.input_proj(self.embedding(tokens)))
        return self.dropout(self.positions(states, first_position))

    def to_output(self, states: Float[Tensor, "rows target dim"], outputs: Sequence[AttentionOutput]) -> DecoderOutput:
        """Return the decoder's output from the states of the last layer and the attention outputs of all layers."""
        features = self.dropout(self.combine(self.norm(states)))
        return DecoderOutput(features, outputs[-1].weights, SampleInfo.sum([output.sample for output in outputs]))

    @property
    def decoder_layers(self) -> "list[DecoderLayer]":
        return cast("list[DecoderLayer]", list(self.layers))

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)


class DecoderLayer(nn.Module):
    """Self-attention over the target so far, attention to the memory, and a feed-forward network, each with a residual
    connection (He et al. 2016)."""

    def __init__(self, attention: Attention, dim: int, num_heads: int, *, rotary: bool, dropout: float):
        super().__init__()
        # Attention without weights does not depend on its queries, so a norm of theirs would never get a gradient.
        query_norm = nn.LayerNorm(dim) if attention.has_weights else nn.Identity()
        self.norms = nn.ModuleList([nn.LayerNorm(dim), query_norm, nn.LayerNorm(dim)])
        self.self_attention = SelfAttention(dim, num_heads, rotary=rotary, dropout=dropout)
        self.attention = attention
        self.context = nn.Linear(attention.dim, dim)
        self.feed_forward = FeedForward(dim, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "rows target dim"], key_values: KeyValues
    ) -> tuple[Float[Tensor, "rows target dim"], AttentionOutput]:
        """Process a whole sentence, in which each position attends to itself and those before it."""
        self_attended, _ = self.self_attention(self.norms[0](states), causal=True)
        states = states + self.dropout(self_attended)
        attended = self.attention.attend_sequence(self.norms[1](states), key_values)
        return self.add_context(states, attended), attended

    def step(
        self, states: Float[Tensor, "rows 1 dim"], state: LayerState
    ) -> tuple[Float[Tensor, "rows 1 dim"], AttentionOutput, LayerState]:
        """Process the next token of each hypothesis."""
        self_attended, cache = self.self_attention(self.norms[0](states), causal=True, kv_cache=state.kv_cache)
        states = states + self.dropout(self_attended)
        queries = self.norms[1](states).squeeze(1)
        attended = self.attention.attend_step(queries, state.key_values, state.attention_state)
        return self.add_context(states, attended), attended, LayerState(state.key_values, attended.state, cache)

    def add_context(
        self, states: Float[Tensor, "rows target dim"], attended: AttentionOutput
    ) -> Float[Tensor, "rows target dim"]:
        """Add the projected context, then the output of the feed-forward network."""
        states = states + self.dropout(self.context(attended.context))
        return states + self.dropout(self.feed_forward(self.norms[2](states)))
