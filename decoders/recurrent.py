"""The recurrent decoder that all tasks share: an LSTM (or GRU, or RNN) with any attention to any memory."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.base import Attention, AttentionOutput
from attention.dropout import Dropout
from attention.hard import ReinforceLoss
from attention.key_values import KeyValues
from attention.losses import NO_ATTENTION_LOSSES, AttentionLossWeights
from attention.memory import Memory
from attention.state import AttentionState
from decoders.autoregressive import AutoregressiveDecoder, cat_outputs
from decoders.base import DecoderOutput, DecoderState
from decoders.config import AttentionOrder, InitStateName, ReadoutName
from decoders.deferred_linear import DeferredGradLinear
from decoders.recurrent_cell import Hidden, Linear, RecurrentCell
from encoders.config import CellName


@dataclass(frozen=True)
class RecurrentDecoderState(DecoderState):
    """The state of the recurrent decoder.

    Attributes:
        hidden: (h, c) of an LSTM, (h,) of a GRU or RNN, for all layers.
        features: The previous output features (Luong's attentional hidden state), for input feeding.
        readout: The states of a recurrent readout's layer, first zero; empty without one.
        key_values: Keys and values of the memory, one row for each source.
        attention_state: The state of the attention, one row for each hypothesis.
    """

    hidden: Hidden
    features: Float[Tensor, "rows features"]
    readout: tuple[Float[Tensor, "1 rows dim"], ...]
    key_values: KeyValues
    attention_state: AttentionState

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "RecurrentDecoderState":
        flat = rows.flatten()
        return RecurrentDecoderState(
            tuple(part[:, flat] for part in self.hidden),
            self.features[flat],
            tuple(part[:, flat] for part in self.readout),
            self.key_values.reorder(rows, self.features.size(0)),
            self.attention_state.reorder(flat),
        )

    def where(self, rows: Bool[Tensor, " rows"], other: "RecurrentDecoderState") -> "RecurrentDecoderState":
        """Return this state for the hypotheses where ``rows`` is True, and ``other`` for the rest (for transducers)."""
        return RecurrentDecoderState(
            tuple(torch.where(rows[:, None], *parts) for parts in zip(self.hidden, other.hidden, strict=True)),
            torch.where(rows[:, None], self.features, other.features),
            tuple(torch.where(rows[:, None], *parts) for parts in zip(self.readout, other.readout, strict=True)),
            self.key_values,
            self.attention_state.where(rows, other.attention_state),
        )


class RecurrentDecoder(AutoregressiveDecoder[RecurrentDecoderState]):
    """Recurrent decoder with attention, in the two classical orders.

    One step, from the token y, the previous hidden state h' and the previous features r':

    1. ``attention_order="bahdanau"`` (Bahdanau et al. 2015): c = attend(h'), then h = cell([y; c], h').
       ``attention_order="luong"`` (Luong et al. 2015): h = cell(y, h'), then c = attend(h).
       The order is independent of the score function (additive, dot, ...).
    2. With ``context_gate`` (the scalar of Xu et al. 2015) the context is scaled by sigmoid(v . q + b), q is the query,
       h' or h; so a token can be predicted mainly from the previous tokens.
    3. The features are r = tanh(W [h; c]), Luong's attentional hidden state; with tied embeddings they have the size of
       an embedding. With ``readout="recurrent"`` (the language LSTM of Anderson et al. 2018, without its feedback to
       the attention) another recurrent layer reads [h; c] at each step, and its state takes the place of h; so what was
       attended to earlier is remembered.
    4. With ``input_feeding`` (Luong et al. 2015) the input of the cell is [y; r'] instead of y.

    The first hidden state is tanh(W summary), or zero with ``init_state="zeros"``. With ``tie_embeddings`` the output
    matrix is the embedding (Press & Wolf 2017).

    In the order "luong" without input feeding the recurrence does not depend on any context. The teacher-forced pass is
    then one fused call of the RNN, one batched attention (unless it is sequential), one fused call of a recurrent
    readout and one matrix product, which is the fastest way to train.
    """

    export_form = "step"

    def __init__(
        self,
        embedding: nn.Embedding,
        attention: Attention,
        hidden_dim: int,
        memory_dim: int,
        *,
        cell: CellName = "lstm",
        num_layers: int = 1,
        attention_order: AttentionOrder = "luong",
        input_feeding: bool = False,
        readout: ReadoutName = "feedforward",
        init_state: InitStateName = "projection",
        tie_embeddings: bool = True,
        dropout: float = 0.0,
        context_gate: bool = False,
        attention_losses: AttentionLossWeights = NO_ATTENTION_LOSSES,
        reinforce_loss: ReinforceLoss | None = None,
    ):
        super().__init__()
        embedding_dim = embedding.embedding_dim
        feature_dim = embedding_dim if tie_embeddings else hidden_dim
        self.embedding = embedding
        self.attention = attention
        self.has_alignment = attention.has_weights
        self.attention_order = attention_order
        self.input_feeding = input_feeding
        self.feature_dim = feature_dim
        self.dropout = Dropout(dropout)
        self.context_gate = nn.Linear(hidden_dim, 1) if context_gate else None
        self.attention_losses = attention_losses
        self.reinforce_loss = reinforce_loss
        self.context_affects_future = (
            input_feeding or readout == "recurrent" or attention_order == "bahdanau" or attention.is_sequential
        )
        fed_back_dim = feature_dim * input_feeding + attention.dim * (attention_order == "bahdanau")
        self.cell = RecurrentCell(cell, embedding_dim, fed_back_dim, hidden_dim, num_layers, dropout)
        self.hidden_shape = (self.cell.num_states, num_layers, hidden_dim)  # of one row
        self.bridge = nn.Linear(memory_dim, math.prod(self.hidden_shape)) if init_state == "projection" else None
        combined_dim = hidden_dim + attention.dim
        self.readout = RecurrentCell(cell, combined_dim, 0, hidden_dim, 1, dropout) if readout == "recurrent" else None
        self.combine = nn.Linear(combined_dim, feature_dim)
        self.output = nn.Linear(feature_dim, embedding.num_embeddings)
        if tie_embeddings:
            self.output.weight = embedding.weight

    def init_state(self, memory: Memory) -> RecurrentDecoderState:
        batch_size = memory.summary.size(0)
        if self.bridge is None:
            hidden = memory.summary.new_zeros(batch_size, *self.hidden_shape)
        else:
            hidden = torch.tanh(self.bridge(memory.summary)).unflatten(1, self.hidden_shape)
        hidden = hidden.permute(1, 2, 0, 3).contiguous()  # (states, layers, batch, dim)
        features = memory.summary.new_zeros(batch_size, self.feature_dim)
        readout = () if self.readout is None else tuple(torch.zeros_like(part[-1:]) for part in hidden)
        key_values = self.attention.prepare(memory)
        return RecurrentDecoderState(
            tuple(hidden.unbind(0)), features, readout, key_values, self.attention.init_state(key_values)
        )

    def step(
        self, tokens: Int[Tensor, " rows"], state: RecurrentDecoderState
    ) -> tuple[DecoderOutput, RecurrentDecoderState]:
        return self.step_projected(self.cell.project_inputs(self.embed(tokens)), state)

    def step_projected(
        self,
        projected: Float[Tensor, "rows gates"],
        state: RecurrentDecoderState,
        linear: Linear = functional.linear,
    ) -> tuple[DecoderOutput, RecurrentDecoderState]:
        """Take a step, given the input-to-hidden product W_ih y of the token's embedding y."""
        attended = gates = None
        feedback = [state.features] if self.input_feeding else []
        if self.attention_order == "bahdanau":
            attended, gates = self.attend(state.hidden[0][-1], state)
            feedback.append(attended.context.squeeze(1))
        fed_back = torch.cat(feedback, dim=-1) if feedback else None
        top, hidden = self.cell.step(projected, fed_back, state.hidden, linear)
        if attended is None:
            attended, gates = self.attend(top, state)
        context, readout = attended.context.squeeze(1), state.readout
        if self.readout is not None:
            projected = self.readout.project_inputs(self.dropout(torch.cat([top, context], dim=-1)), linear)
            top, readout = self.readout.step(projected, None, readout, linear)
        features = self.output_features(top, context, linear)
        next_state = RecurrentDecoderState(hidden, features, readout, state.key_values, attended.state)
        return DecoderOutput(features[:, None], attended.weights, attended.sample, gates), next_state

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        state = self.init_state(memory)
        embedded = self.embed(tokens)
        if self.attention_order == "bahdanau" or self.input_feeding:
            linear = DeferredGradLinear(tokens.size(1))  # weight gradients as one product after the loop
            outputs = []
            for projected in self.cell.project_inputs(embedded).unbind(1):
                output, state = self.step_projected(projected, state, linear)
                outputs.append(output)
            return cat_outputs(outputs)
        states, _ = self.cell.run(embedded, state.hidden)
        attended = self.attention.attend_sequence(states, state.key_values)
        context, gates = self.gate_context(attended.context, states)
        if self.readout is not None:
            states, _ = self.readout.run(self.dropout(torch.cat([states, context], dim=-1)), state.readout)
        return DecoderOutput(self.output_features(states, context), attended.weights, attended.sample, gates)

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)

    def embed(self, tokens: Int[Tensor, "*positions"]) -> Float[Tensor, "*positions embedding"]:
        """Return the embeddings of tokens, with dropout."""
        return self.dropout(self.embedding(tokens))

    def attend(
        self, queries: Float[Tensor, "rows dim"], state: RecurrentDecoderState
    ) -> tuple[AttentionOutput, Float[Tensor, "rows 1"] | None]:
        """Take one attention step of each hypothesis; return it with the context scaled by the gate, and the gate."""
        attended = self.attention.attend_step(queries, state.key_values, state.attention_state)
        context, gates = self.gate_context(attended.context, queries[:, None])
        return replace(attended, context=context), gates

    def gate_context(
        self, context: Float[Tensor, "*positions context"], queries: Float[Tensor, "*positions dim"]
    ) -> tuple[Float[Tensor, "*positions context"], Float[Tensor, "*positions"] | None]:
        """Scale the context by a gate computed from the queries; return both. Without ``context_gate`` as it is."""
        if self.context_gate is None:
            return context, None
        gates = torch.sigmoid(self.context_gate(queries))
        return gates * context, gates.squeeze(-1)

    def output_features(
        self,
        states: Float[Tensor, "*positions dim"],
        context: Float[Tensor, "*positions context"],
        linear: Linear = functional.linear,
    ) -> Float[Tensor, "*positions features"]:
        """Combine hidden states and contexts: tanh(W [h; c])."""
        combined = torch.cat([states, context], dim=-1)
        return self.dropout(torch.tanh(linear(combined, self.combine.weight, self.combine.bias)))
