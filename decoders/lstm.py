"""The recurrent decoder that all tasks share: an LSTM (or GRU, or RNN) that attends to any memory."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention.base import Attention, Lookup
from decoders.base import Decoder, Readout, State
from encoders.base import Memory
from encoders.recurrent import CELLS, Cell

Order = Literal["after", "before"]
Start = Literal["projection", "zeros"]


@dataclass(frozen=True)
class RecurrentState(State):
    """``hidden``: what the cell carries, (hidden, cell) for an LSTM and (hidden,) otherwise;
    ``readout``: the last one, for input feeding; ``lookup``: the memory, once a sentence."""

    hidden: tuple[Float[Tensor, "layers rows dim"], ...]
    readout: Float[Tensor, "rows readout"]
    lookup: Lookup

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "RecurrentState":
        beam = self.readout.size(0) // self.lookup.batch_size
        sentences = rows[:, 0] // beam
        everyone = sentences.size(0) == self.lookup.batch_size
        flat = rows.flatten()
        return RecurrentState(
            tuple(states[:, flat] for states in self.hidden),
            self.readout[flat],
            self.lookup if everyone else self.lookup.select(sentences),
        )


class RecurrentDecoder(Decoder):
    """Decoder with attention, in the two classical wirings.

    One step, from the token y, the last hidden state h' and the last readout r':

    1. ``order="before"`` (Bahdanau et al. 2015): the context c is looked up with h', then h = cell([y; c], h').
       ``order="after"`` (Luong et al. 2015): h = cell(y, h'), then c is looked up with h.
    2. The readout is r = tanh(W [h; c]); W projects it to the size of the output embeddings.
    3. With ``input_feeding`` (Luong et al. 2015) r' stands beside y in the cell's input.

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
        readout_dim: int | None = None,
    ):
        super().__init__()
        embedding_dim = embedding.embedding_dim
        readout_dim = embedding_dim if tied else readout_dim or hidden_dim
        self.embedding = embedding
        self.attention = attention
        self.order = order
        self.input_feeding = input_feeding
        self.readout_dim = readout_dim
        self.dropout = nn.Dropout(dropout)
        input_dim = embedding_dim + readout_dim * input_feeding + attention.dim * (order == "before")
        self.rnn = CELLS[cell](
            input_dim, hidden_dim, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )
        self.num_states = 2 if cell == "lstm" else 1
        shape = self.num_states * num_layers * hidden_dim
        self.bridge = nn.Linear(memory_dim, shape) if start == "projection" else None
        self.combine = nn.Linear(hidden_dim + attention.dim, readout_dim)
        self.output = nn.Linear(readout_dim, embedding.num_embeddings)
        if tied:
            self.output.weight = embedding.weight

    def start(self, memory: Memory) -> RecurrentState:
        batch_size = memory.summary.size(0)
        shape = (self.num_states, self.rnn.num_layers, self.rnn.hidden_size)
        if self.bridge is None:
            hidden = memory.summary.new_zeros(*shape[:2], batch_size, shape[2])
        else:
            projected = torch.tanh(self.bridge(memory.summary)).unflatten(1, shape)
            hidden = projected.permute(1, 2, 0, 3).contiguous()  # (states, layers, batch, dim)
        readout = memory.summary.new_zeros(batch_size, self.readout_dim)
        return RecurrentState(tuple(hidden.unbind(0)), readout, self.attention.start(memory))

    def step(self, tokens: Int[Tensor, " rows"], state: RecurrentState) -> tuple[Readout, RecurrentState]:
        lookup = state.lookup
        inputs = [self.embed(tokens)]
        if self.input_feeding:
            inputs.append(state.readout)
        if self.order == "before":
            context, weights, lookup = self.attend(state.hidden[0][-1], lookup)
            inputs.append(context)
        states, hidden = self.run(torch.cat(inputs, dim=-1)[:, None], state.hidden)
        top = states[:, 0]
        if self.order == "after":
            context, weights, lookup = self.attend(top, lookup)
        readout = self.read_out(top, context)
        weights = None if weights is None else weights[:, None]
        return Readout(readout[:, None], weights), RecurrentState(hidden, readout, lookup)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Readout:
        if self.order == "before" or self.input_feeding:
            return self.unroll(tokens, memory)
        state = self.start(memory)
        states, _ = self.run(self.embed(tokens), state.hidden)
        glance = self.attention.attend(states, state.lookup)
        return Readout(self.read_out(states, glance.context), glance.weights)

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)

    def embed(self, tokens: Int[Tensor, "*positions"]) -> Float[Tensor, "*positions embedding"]:
        return self.dropout(self.embedding(tokens))

    def run(
        self, inputs: Float[Tensor, "rows target features"], hidden: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "rows target dim"], tuple[Tensor, ...]]:
        """The cell over ``inputs``; hides that torch gives an LSTM's state as a pair and others' alone."""
        states, last = self.rnn(inputs, hidden if self.num_states == 2 else hidden[0])
        return states, last if self.num_states == 2 else (last,)

    def attend(
        self, queries: Float[Tensor, "rows dim"], lookup: Lookup
    ) -> tuple[Float[Tensor, "rows context"], Float[Tensor, "rows source"] | None, Lookup]:
        """One look a hypothesis: the beam becomes the axis of queries, so that no memory is copied for it."""
        glance = self.attention.attend(queries.unflatten(0, (lookup.batch_size, -1)), lookup)
        weights = None if glance.weights is None else glance.weights.flatten(0, 1)
        return glance.context.flatten(0, 1), weights, glance.lookup

    def read_out(
        self, states: Float[Tensor, "*positions dim"], context: Float[Tensor, "*positions context"]
    ) -> Float[Tensor, "*positions readout"]:
        return self.dropout(torch.tanh(self.combine(torch.cat([states, context], dim=-1))))
