"""The text encoder: token ids in, one state for each token out."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.nn import functional

from encoders.base import Encoder, Memory, SequenceEncoder, SourceBatch
from encoders.recurrent import reverse_padded


class TextEncoder(Encoder):
    """Embeds tokens and reads them: with a bidirectional RNN as Bahdanau et al. 2015, or with any other reader.

    With ``reverse`` the sentence is read from its last word to its first, which brings the beginnings of the
    two sentences close together and made the first LSTM translators work (Sutskever et al. 2014).
    The states stay in the order of the sentence, so an alignment reads the same either way.

    The memory's segments are the text's sentences: each ends with one of the tokens ``ends``, if any are given. Its
    tokens are the source's, as ``target_vocab_ids`` translates them into the target's vocabulary; the same, if not given.
    """

    reads_text = True
    target_vocab_ids: Tensor | None

    def __init__(
        self,
        embedding: nn.Embedding,
        sequence_encoder: SequenceEncoder,
        *,
        reverse: bool = False,
        dropout: float = 0.0,
        ends: Sequence[int] = (),
        target_vocab_ids: Int[Tensor, " vocab"] | None = None,
    ):
        super().__init__()
        self.embedding = embedding
        self.sequence_encoder = sequence_encoder
        self.reverse = reverse
        self.dropout = nn.Dropout(dropout)
        self.ends = tuple(ends)
        self.register_buffer("meanings", target_vocab_ids, persistent=False)
        self.dim = sequence_encoder.dim

    def forward(self, source: SourceBatch) -> Memory:
        """``source.values``: Int[Tensor, "batch source"], token ids."""
        inputs = self.dropout(self.embedding(source.values))  # (batch, source, embedding)
        if self.reverse:
            inputs = reverse_padded(inputs, source.mask)
        memory = self.sequence_encoder(inputs, source.mask)
        states = reverse_padded(memory.states, source.mask) if self.reverse else memory.states
        tokens = source.values if self.target_vocab_ids is None else self.target_vocab_ids[source.values]
        return Memory(
            self.dropout(states),
            memory.mask,
            self.dropout(memory.summary),
            self.sentences(source.values, source.mask),
            tokens,
        )

    def sentences(
        self, tokens: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"]
    ) -> Int[Tensor, "batch source"] | None:
        """The number of each token's sentence."""
        if not self.ends:
            return None
        ended = torch.isin(tokens, torch.tensor(self.ends, device=tokens.device))
        last = torch.arange(tokens.size(1), device=tokens.device) == mask.sum(dim=1, keepdim=True) - 1
        # A second mark, and the token that ends the text, belong to the sentence before.
        begins = ended[:, :-1] & ~ended[:, 1:] & ~last[:, 1:]
        return functional.pad(begins.long().cumsum(dim=1), (1, 0))
