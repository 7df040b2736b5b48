"""The text encoder: tokens in, one state for each of them out."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.memory import Memory
from encoders.base import Encoder, Frontend, SequenceEncoder, SourceBatch
from encoders.recurrent import reverse_padded


class TokenEmbedding(Frontend):
    """Embeddings of token ids, trained from scratch."""

    def __init__(self, embedding: nn.Embedding):
        """``embedding``: of the source vocabulary."""
        super().__init__()
        self.embedding = embedding
        self.dim = embedding.embedding_dim

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch source dim"], Bool[Tensor, "batch source"]]:
        """``source.values``: Int[Tensor, "batch source"]."""
        return self.embedding(source.values), source.mask

    def token_ids(self, source: SourceBatch) -> Int[Tensor, "batch source"]:
        return source.values


class TextEncoder(Encoder):
    """A frontend and a sequence encoder; embeddings and a bidirectional RNN are the encoder of Bahdanau et al. 2015.

    The memory's segments are the sentences of the text, and its token ids are the source's in the target vocabulary.
    """

    has_token_ids = True
    target_vocab_ids: Tensor | None
    sentence_end_ids: Tensor

    def __init__(
        self,
        frontend: Frontend,
        sequence_encoder: SequenceEncoder,
        *,
        reverse: bool = False,
        dropout: float = 0.0,
        sentence_end_ids: Sequence[int] = (),
        target_vocab_ids: Int[Tensor, " vocab"] | None = None,
    ):
        """Build a text encoder.

        Args:
            frontend: Makes states of the tokens: ``TokenEmbedding``, or a pretrained model.
            sequence_encoder: Encoder of the sequence of these states.
            reverse: Encode the text from its last token to its first. This brings the beginnings of source and target
                close together (Sutskever et al. 2014). States are returned in the order of the text either way.
            dropout: Dropout rate of the frontend's states, of the memory's and of its summary.
            sentence_end_ids: Tokens that end a sentence; without any the memory has no segments.
            target_vocab_ids: The id in the target vocabulary of each token of the frontend; by default the same.
        """
        super().__init__()
        self.frontend = frontend
        self.sequence_encoder = sequence_encoder
        self.reverse = reverse
        self.dropout = Dropout(dropout)
        self.register_buffer("sentence_end_ids", torch.tensor(sentence_end_ids, dtype=torch.long), persistent=False)
        self.register_buffer("target_vocab_ids", target_vocab_ids, persistent=False)
        self.dim = sequence_encoder.dim

    def forward(self, source: SourceBatch) -> Memory:
        """Encode text; ``source.values``: what the frontend takes, or its precomputed states."""
        if source.precomputed:
            states, mask, token_ids = source.values, source.mask, source.token_ids
        else:
            (states, mask), token_ids = self.frontend(source), self.frontend.token_ids(source)
        assert token_ids is not None, "the frontend of a text encoder has tokens"
        inputs = self.dropout(states)  # (batch, source, features)
        if self.reverse:
            inputs = reverse_padded(inputs, mask)
        memory = self.sequence_encoder(inputs, mask)
        states = reverse_padded(memory.states, mask) if self.reverse else memory.states
        return Memory(
            self.dropout(states),
            memory.mask,
            self.dropout(memory.summary),
            segment_ids=self.segment_ids(token_ids, mask),
            token_ids=token_ids if self.target_vocab_ids is None else self.target_vocab_ids[token_ids],
        )

    def segment_ids(
        self, token_ids: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"]
    ) -> Int[Tensor, "batch source"] | None:
        """Return the index of each token's sentence, counted from 0; None without ``sentence_end_ids``."""
        if not len(self.sentence_end_ids):
            return None
        is_end = (token_ids[..., None] == self.sentence_end_ids).any(dim=-1)
        is_last = torch.arange(token_ids.size(1), device=token_ids.device) == mask.sum(dim=1, keepdim=True) - 1
        # A repeated mark, and the token that ends the text, belong to the sentence before them.
        is_start = is_end[:, :-1] & ~is_end[:, 1:] & ~is_last[:, 1:]
        return functional.pad(is_start.long().cumsum(dim=1), (1, 0))
