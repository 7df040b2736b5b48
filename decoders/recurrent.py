"""The recurrent decoder that all tasks share: an LSTM (or GRU, or RNN) that attends to any memory."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention import NO_LOSSES, Attention, Glance, LookLosses, Lookup, Reinforce
from decoders.autoregressive import Stepwise, join
from decoders.base import Readout, State
from decoders.deferred_linear import LateLinear
from decoders.recurrent_cell import Linear, RecurrentCell
from encoders.base import Memory
from encoders.recurrent import Cell

Order = Literal["after", "before"]
Start = Literal["projection", "zeros"]


@dataclass(frozen=True)
class RecurrentState(State):
    """``hidden``: what the cell carries, (hidden, cell) for an LSTM and (hidden,) otherwise; ``readout``: the last
    one, for input feeding; ``lookup``: the memory, once a sentence; ``past``: what attention remembers."""

    hidden: tuple[Float[Tensor, "layers rows dim"], ...]
    readout: Float[Tensor, "rows readout"]
    lookup: Lookup
    past: Float[Tensor, "rows 1 ..."] | None = None

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "RecurrentState":
        flat = rows.flatten()
        return RecurrentState(
            tuple(states[:, flat] for states in self.hidden),
            self.readout[flat],
            self.lookup.follow(rows, self.readout.size(0)),
            None if self.past is None else self.past[flat],
        )

    def where(self, rows: Bool[Tensor, " rows"], other: "RecurrentState") -> "RecurrentState":
        """This state for the hypotheses where ``rows`` is True, and ``other``'s for the rest."""

        def choose(own: Tensor, its: Tensor, axis: int = 0) -> Tensor:
            shape = [-1 if dim == axis else 1 for dim in range(own.dim())]
            return torch.where(rows.view(shape), own, its)

        hidden = tuple(choose(own, its, axis=1) for own, its in zip(self.hidden, other.hidden, strict=True))
        past = None if self.past is None or other.past is None else choose(self.past, other.past)
        return RecurrentState(hidden, choose(self.readout, other.readout), self.lookup, past)


class RecurrentDecoder(Stepwise[RecurrentState]):
    """Decoder with attention, in the two classical wirings.

    One step, from the token y, the last hidden state h' and the last readout r':

    1. ``order="before"`` (Bahdanau et al. 2015): the context c is looked up with h', then h = cell([y; c], h').
       ``order="after"`` (Luong et al. 2015): h = cell(y, h'), then c is looked up with h.
    2. The readout is r = tanh(W [h; c]); W projects it to the size of the output embeddings.
    3. With ``input_feeding`` (Luong et al. 2015) r' stands beside y in the cell's input.
    4. With ``gate`` (Xu et al. 2015) the context is first multiplied by sigmoid(v . q + b), where q is the hidden state
       it was looked up with: so a word that follows from those before it may do without the source.

    The first hidden state is tanh(W summary), or zeros with ``start="zeros"``. With ``tied`` the output matrix is
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
        cell: Cell = "lstm",
        num_layers: int = 1,
        order: Order = "after",
        input_feeding: bool = False,
        start: Start = "projection",
        tied: bool = True,
        dropout: float = 0.0,
        gate: bool = False,
        losses: LookLosses = NO_LOSSES,
        reinforce: Reinforce | None = None,
    ):
        super().__init__()
        embedding_dim = embedding.embedding_dim
        readout_dim = embedding_dim if tied else hidden_dim
        self.embedding = embedding
        self.attention = attention
        self.order = order
        self.input_feeding = input_feeding
        self.readout_dim = readout_dim
        self.dropout = nn.Dropout(dropout)
        self.gate = nn.Linear(hidden_dim, 1) if gate else None
        self.losses = losses
        self.reinforce = reinforce
        self.onward = input_feeding or order == "before" or attention.sequential
        fed_dim = readout_dim * input_feeding + attention.dim * (order == "before")
        self.cell = RecurrentCell(cell, embedding_dim, fed_dim, hidden_dim, num_layers, dropout)
        self.shape = (self.cell.num_states, num_layers, hidden_dim)  # of what the cell carries, for one row
        self.bridge = nn.Linear(memory_dim, math.prod(self.shape)) if start == "projection" else None
        self.combine = nn.Linear(hidden_dim + attention.dim, readout_dim)
        self.output = nn.Linear(readout_dim, embedding.num_embeddings)
        if tied:
            self.output.weight = embedding.weight

    def start(self, memory: Memory) -> RecurrentState:
        batch_size = memory.summary.size(0)
        if self.bridge is None:
            hidden = memory.summary.new_zeros(batch_size, *self.shape)
        else:
            hidden = torch.tanh(self.bridge(memory.summary)).unflatten(1, self.shape)
        hidden = hidden.permute(1, 2, 0, 3).contiguous()  # (states, layers, batch, dim)
        readout = memory.summary.new_zeros(batch_size, self.readout_dim)
        return RecurrentState(tuple(hidden.unbind(0)), readout, self.attention.start(memory))

    def step(self, tokens: Int[Tensor, " rows"], state: RecurrentState) -> tuple[Readout, RecurrentState]:
        return self.advance(self.cell.product(self.embed(tokens)), state)

    def advance(
        self, product: Float[Tensor, "rows gates"], state: RecurrentState, linear: Linear = functional.linear
    ) -> tuple[Readout, RecurrentState]:
        """A step whose token has been multiplied with the cell's weights already."""
        look = None
        fed = [state.readout] if self.input_feeding else []
        if self.order == "before":
            look = self.look(state.hidden[0][-1], state)
            fed.append(look.context.squeeze(1))
        top, hidden = self.cell.step(product, torch.cat(fed, dim=-1) if fed else None, state.hidden, linear)
        look = self.look(top, state) if look is None else look
        readout = self.read_out(top, look.context.squeeze(1), linear)
        following = RecurrentState(hidden, readout, state.lookup, look.past)
        return Readout(readout[:, None], look.weights, look.drawn), following

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Readout:
        state = self.start(memory)
        embedded = self.embed(tokens)
        if self.order == "before" or self.input_feeding:
            linear = LateLinear(tokens.size(1))
            readouts = []
            for product in self.cell.product(embedded).unbind(1):
                readout, state = self.advance(product, state, linear)
                readouts.append(readout)
            return join(readouts)
        states, _ = self.cell.run(embedded, state.hidden)
        glance = self.attention.attend_along(states, state.lookup)
        return Readout(self.read_out(states, self.gated(glance.context, states)), glance.weights, glance.drawn)

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)

    def embed(self, tokens: Int[Tensor, "*positions"]) -> Float[Tensor, "*positions embedding"]:
        return self.dropout(self.embedding(tokens))

    def look(self, queries: Float[Tensor, "rows dim"], state: RecurrentState) -> Glance:
        """One look of each hypothesis, with the context as far as the gate lets it in."""
        glance = self.attention.attend_each(queries, state.lookup, state.past)
        return replace(glance, context=self.gated(glance.context, queries[:, None]))

    def gated(
        self, context: Float[Tensor, "*positions context"], queries: Float[Tensor, "*positions dim"]
    ) -> Float[Tensor, "*positions context"]:
        """As much of the context as the queries let in."""
        return context if self.gate is None else torch.sigmoid(self.gate(queries)) * context

    def read_out(
        self,
        states: Float[Tensor, "*positions dim"],
        context: Float[Tensor, "*positions context"],
        linear: Linear = functional.linear,
    ) -> Float[Tensor, "*positions readout"]:
        joined = torch.cat([states, context], dim=-1)
        return self.dropout(torch.tanh(linear(joined, self.combine.weight, self.combine.bias)))
