"""The recurrent decoder that all tasks share: an LSTM (or GRU, or RNN) that attends to any memory."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention import NO_ATTENTION_LOSSES, Attention, AttentionLossWeights, AttentionOutput, KeyValues, ReinforceLoss
from decoders.autoregressive import AutoregressiveDecoder, cat_outputs
from decoders.base import DecoderOutput, DecoderState
from decoders.deferred_linear import DeferredGradLinear
from decoders.recurrent_cell import Linear, RecurrentCell
from encoders.base import Memory
from encoders.recurrent import CellName

Order = Literal["after", "before"]
Start = Literal["projection", "zeros"]


@dataclass(frozen=True)
class RecurrentDecoderState(DecoderState):
    """``hidden``: what the cell carries, (hidden, cell) for an LSTM and (hidden,) otherwise; ``readout``: the last
    one, for input feeding; ``lookup``: the memory, once a sentence; ``past``: what attention remembers."""

    hidden: tuple[Float[Tensor, "layers rows dim"], ...]
    readout: Float[Tensor, "rows readout"]
    lookup: KeyValues
    past: Float[Tensor, "rows 1 ..."] | None = None

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "RecurrentDecoderState":
        flat = rows.flatten()
        return RecurrentDecoderState(
            tuple(states[:, flat] for states in self.hidden),
            self.readout[flat],
            self.lookup.reorder(rows, self.readout.size(0)),
            None if self.past is None else self.past[flat],
        )

    def where(self, rows: Bool[Tensor, " rows"], other: "RecurrentDecoderState") -> "RecurrentDecoderState":
        """This state for the hypotheses where ``rows`` is True, and ``other``'s for the rest."""

        def choose(own: Tensor, its: Tensor, axis: int = 0) -> Tensor:
            shape = [-1 if dim == axis else 1 for dim in range(own.dim())]
            return torch.where(rows.view(shape), own, its)

        hidden = tuple(choose(own, its, axis=1) for own, its in zip(self.hidden, other.hidden, strict=True))
        past = None if self.past is None or other.past is None else choose(self.past, other.past)
        return RecurrentDecoderState(hidden, choose(self.readout, other.readout), self.lookup, past)


class RecurrentDecoder(AutoregressiveDecoder[RecurrentDecoderState]):
    """Decoder with attention, in the two classical wirings.

    One step, from the token y, the last hidden state h' and the last readout r':

    1. ``attention_order="before"`` (Bahdanau et al. 2015): the context c is looked up with h', then h = cell([y; c], h').
       ``attention_order="after"`` (Luong et al. 2015): h = cell(y, h'), then c is looked up with h.
    2. The readout is r = tanh(W [h; c]); W projects it to the size of the output embeddings.
    3. With ``input_feeding`` (Luong et al. 2015) r' stands beside y in the cell's input.
    4. With ``context_gate`` (Xu et al. 2015) the context is first multiplied by sigmoid(v . q + b), where q is the hidden state
       it was looked up with: so a word that follows from those before it may do without the source.

    The first hidden state is tanh(W summary), or zeros with ``start="zeros"``. With ``tie_embeddings`` the output matrix is
    the embedding itself (Press & Wolf 2017).

    With "after" and no input feeding nothing in the recurrence waits for a context, so the teacher-forced pass
    is one fused run of the RNN, one batched attention and one product: that is the fast way to train.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        attention: Attention,
        hidden_dim: int,
        memory_dim: int,
        *,
        cell: CellName = "lstm",
        num_layers: int = 1,
        attention_order: Order = "after",
        input_feeding: bool = False,
        start: Start = "projection",
        tie_embeddings: bool = True,
        dropout: float = 0.0,
        context_gate: bool = False,
        attention_losses: AttentionLossWeights = NO_ATTENTION_LOSSES,
        reinforce_loss: ReinforceLoss | None = None,
    ):
        super().__init__()
        embedding_dim = embedding.embedding_dim
        readout_dim = embedding_dim if tie_embeddings else hidden_dim
        self.embedding = embedding
        self.attention = attention
        self.attention_order = attention_order
        self.input_feeding = input_feeding
        self.readout_dim = readout_dim
        self.dropout = nn.Dropout(dropout)
        self.context_gate = nn.Linear(hidden_dim, 1) if context_gate else None
        self.attention_losses = attention_losses
        self.reinforce_loss = reinforce_loss
        self.context_affects_future = input_feeding or attention_order == "before" or attention.is_sequential
        fed_dim = readout_dim * input_feeding + attention.dim * (attention_order == "before")
        self.cell = RecurrentCell(cell, embedding_dim, fed_dim, hidden_dim, num_layers, dropout)
        self.shape = (self.cell.num_states, num_layers, hidden_dim)  # of what the cell carries, for one row
        self.bridge = nn.Linear(memory_dim, math.prod(self.shape)) if start == "projection" else None
        self.combine = nn.Linear(hidden_dim + attention.dim, readout_dim)
        self.output = nn.Linear(readout_dim, embedding.num_embeddings)
        if tie_embeddings:
            self.output.weight = embedding.weight

    def start(self, memory: Memory) -> RecurrentDecoderState:
        batch_size = memory.summary.size(0)
        if self.bridge is None:
            hidden = memory.summary.new_zeros(batch_size, *self.shape)
        else:
            hidden = torch.tanh(self.bridge(memory.summary)).unflatten(1, self.shape)
        hidden = hidden.permute(1, 2, 0, 3).contiguous()  # (states, layers, batch, dim)
        readout = memory.summary.new_zeros(batch_size, self.readout_dim)
        return RecurrentDecoderState(tuple(hidden.unbind(0)), readout, self.attention.start(memory))

    def step(
        self, tokens: Int[Tensor, " rows"], state: RecurrentDecoderState
    ) -> tuple[DecoderOutput, RecurrentDecoderState]:
        return self.step_projected(self.cell.project_inputs(self.embed(tokens)), state)

    def step_projected(
        self,
        project_inputs: Float[Tensor, "rows gates"],
        state: RecurrentDecoderState,
        linear: Linear = functional.linear,
    ) -> tuple[DecoderOutput, RecurrentDecoderState]:
        """A step whose token has been multiplied with the cell's weights already."""
        attend = None
        fed = [state.readout] if self.input_feeding else []
        if self.attention_order == "before":
            attend = self.attend(state.hidden[0][-1], state)
            fed.append(attend.context.squeeze(1))
        top, hidden = self.cell.step(project_inputs, torch.cat(fed, dim=-1) if fed else None, state.hidden, linear)
        attend = self.attend(top, state) if attend is None else attend
        readout = self.output_features(top, attend.context.squeeze(1), linear)
        following = RecurrentDecoderState(hidden, readout, state.lookup, attend.past)
        return DecoderOutput(readout[:, None], attend.weights, attend.sample), following

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        state = self.start(memory)
        embedded = self.embed(tokens)
        if self.attention_order == "before" or self.input_feeding:
            linear = DeferredGradLinear(tokens.size(1))
            readouts = []
            for project_inputs in self.cell.project_inputs(embedded).unbind(1):
                readout, state = self.step_projected(project_inputs, state, linear)
                readouts.append(readout)
            return cat_outputs(readouts)
        states, _ = self.cell.run(embedded, state.hidden)
        attended = self.attention.attend_sequence(states, state.lookup)
        return DecoderOutput(
            self.output_features(states, self.gated(attended.context, states)), attended.weights, attended.sample
        )

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)

    def embed(self, tokens: Int[Tensor, "*positions"]) -> Float[Tensor, "*positions embedding"]:
        return self.dropout(self.embedding(tokens))

    def attend(self, queries: Float[Tensor, "rows dim"], state: RecurrentDecoderState) -> AttentionOutput:
        """One look of each hypothesis, with the context as far as the gate lets it in."""
        attended = self.attention.attend_step(queries, state.lookup, state.past)
        return replace(attended, context=self.gated(attended.context, queries[:, None]))

    def gated(
        self, context: Float[Tensor, "*positions context"], queries: Float[Tensor, "*positions dim"]
    ) -> Float[Tensor, "*positions context"]:
        """As much of the context as the queries let in."""
        return context if self.context_gate is None else torch.sigmoid(self.context_gate(queries)) * context

    def output_features(
        self,
        states: Float[Tensor, "*positions dim"],
        context: Float[Tensor, "*positions context"],
        linear: Linear = functional.linear,
    ) -> Float[Tensor, "*positions readout"]:
        joined = torch.cat([states, context], dim=-1)
        return self.dropout(torch.tanh(linear(joined, self.combine.weight, self.combine.bias)))
