"""Encoder and decoder put together, and the loss of a batch."""

from jaxtyping import Float
from torch import Tensor, nn

from attention import Attention, MultiHead, NoAttention, SoftAttention, build_score
from decoders.base import Decoder
from decoders.lstm import RecurrentDecoder
from encoders.base import Encoder
from tasks.config import AttentionConfig, Config
from tasks.data import Batch


class Seq2Seq(nn.Module):
    """Any encoder with any decoder."""

    def __init__(self, encoder: Encoder, decoder: Decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, batch: Batch, *, label_smoothing: float = 0.0, truth: float = 1.0) -> Float[Tensor, ""]:
        """The batch's loss, summed over its real target tokens: see Decoder.loss."""
        memory = self.encoder(batch.source)
        return self.decoder.loss(batch.tokens, memory, label_smoothing=label_smoothing, truth=truth)


def build_attention(config: AttentionConfig, query_dim: int, memory_dim: int) -> Attention:
    if config.score == "none":
        return NoAttention(memory_dim)
    heads = config.heads
    score = build_score(config.score, query_dim // heads, memory_dim // heads, config.hidden // heads)
    head = SoftAttention(score, memory_dim // heads)
    return head if heads == 1 else MultiHead(head, query_dim, memory_dim, heads)


def build_model(encoder: Encoder, embedding: nn.Embedding, config: Config) -> Seq2Seq:
    """The encoder with the shared decoder, which embeds its tokens with ``embedding``."""
    decoder = RecurrentDecoder(
        embedding,
        build_attention(config.attention, config.decoder.hidden, encoder.dim),
        config.decoder.hidden,
        encoder.dim,
        cell=config.decoder.cell,
        num_layers=config.decoder.layers,
        order=config.decoder.order,
        input_feeding=config.decoder.input_feeding,
        start=config.decoder.start,
        tied=config.decoder.tied,
        dropout=config.decoder.dropout,
    )
    return Seq2Seq(encoder, decoder)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers, each shared matrix once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
