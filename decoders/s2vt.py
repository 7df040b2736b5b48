"""S2VT, sequence to sequence, video to text (Venugopalan et al. 2015b): one stack that reads first and then writes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import DecoderOutput, DecoderState
from encoders.base import Memory

Carried = tuple[Float[Tensor, "1 rows dim"], Float[Tensor, "1 rows dim"]]  # hidden and cell of an LSTM


@dataclass(frozen=True)
class S2VTState(DecoderState):
    """What the lower and the upper LSTM carry."""

    lower: Carried
    upper: Carried

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "S2VTState":
        flat = rows.flatten()
        lower, upper = (tuple(part[:, flat] for part in carried) for carried in (self.lower, self.upper))
        return S2VTState(lower, upper)  # type: ignore[arg-type]


class S2VT(AutoregressiveDecoder[S2VTState]):
    """Two stacked LSTMs, the same ones for reading and for writing, and no attention:

    ==========  ================================  ==============================
    phase       the lower LSTM reads              the upper LSTM reads
    ==========  ================================  ==============================
    reading     a state of the memory             [lower; nothing]
    writing     nothing                           [lower; the word before]
    ==========  ================================  ==============================

    Nothing is a vector of zeros, the padding of the paper. So the sentence is written by a network that has read all
    states one after the other, in place of one that starts from their summary. It takes any memory; as published that
    is the features of frames. With ``tie_embeddings`` the upper state is projected to the size of the embeddings first.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        hidden_dim: int,
        memory_dim: int,
        *,
        tie_embeddings: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embedding = embedding
        self.lower = nn.LSTM(memory_dim, hidden_dim, batch_first=True)
        self.upper = nn.LSTM(hidden_dim + embedding.embedding_dim, hidden_dim, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden_dim, embedding.embedding_dim) if tie_embeddings else nn.Identity()
        self.output = nn.Linear(embedding.embedding_dim if tie_embeddings else hidden_dim, embedding.num_embeddings)
        if tie_embeddings:
            self.output.weight = embedding.weight

    def start(self, memory: Memory) -> S2VTState:
        # Packed, since what an LSTM carries after a row's last real state is wanted, not after the batch's.
        lengths = memory.mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(memory.states, lengths, batch_first=True, enforce_sorted=False)
        read, lower = self.lower(packed)
        nothing = read.data.new_zeros(read.data.size(0), self.embedding.embedding_dim)
        _, upper = self.upper(read._replace(data=torch.cat([self.dropout(read.data), nothing], dim=-1)))
        return S2VTState(lower, upper)

    def step(self, tokens: Int[Tensor, " rows"], state: S2VTState) -> tuple[DecoderOutput, S2VTState]:
        return self.write(tokens[:, None], state)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        return self.write(tokens, self.start(memory))[0]

    def write(self, tokens: Int[Tensor, "rows target"], state: S2VTState) -> tuple[DecoderOutput, S2VTState]:
        """Any number of known words: each LSTM takes them in one fused call."""
        nothing = self.embedding.weight.new_zeros(*tokens.shape, self.lower.input_size)
        beneath, lower = self.lower(nothing, state.lower)
        words = self.dropout(self.embedding(tokens))
        states, upper = self.upper(torch.cat([self.dropout(beneath), words], dim=-1), state.upper)
        return DecoderOutput(self.dropout(self.project(states)), None), S2VTState(lower, upper)

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return self.output(features)
