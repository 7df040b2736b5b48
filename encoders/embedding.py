"""Token embeddings for the inputs of encoders and decoders."""

import math

from jaxtyping import Float, Int
from torch import Tensor, nn


class TokenEmbedding(nn.Embedding):
    """Embeddings that are multiplied by a constant where they are the input of a network.

    A tied output layer (Press & Wolf 2017) needs weights with a standard deviation of dim^-1/2, so that its logits
    start with a variance of one. As inputs such vectors are too small: at the start of training the gates of an LSTM
    hardly depend on the token. Multiplying the input alone, as Vaswani et al. (2017, section 3.4) do, serves both.

    Their factor, sqrt(dim), is too large for recurrent networks: the model learns early, and ends worse (docs/log.md).
    Half of it makes inputs of standard deviation 0.5, between the states of a network, 0.25, and one.
    """

    INPUT_STD = 0.5

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)
        self._fill_padding_idx_with_zero()

    def forward(self, input: Int[Tensor, "*positions"]) -> Float[Tensor, "*positions dim"]:
        return super().forward(input) * (self.INPUT_STD * math.sqrt(self.embedding_dim))
