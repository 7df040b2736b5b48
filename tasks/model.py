"""Encoder and decoder put together, and the loss of a batch."""

from jaxtyping import Float
from torch import Tensor, nn

from attention import (
    Attention,
    Blind,
    LocationAttention,
    MonotonicRegion,
    MultiHead,
    NoAttention,
    SoftAttention,
    build_score,
    diagonality,
)
from decoders import CTC, EOS, S2VT, Decoder, Joint, RecurrentDecoder, Stepwise, Transducer
from encoders.base import Encoder, Memory
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
        memory = self.remember(batch)
        return self.decoder.loss(batch.tokens, memory, label_smoothing=label_smoothing, truth=truth)

    def remember(self, batch: Batch) -> Memory:
        """A memory for each of the batch's target sentences; sources that have several are encoded once."""
        memory = self.encoder(batch.source)
        return memory if batch.owners is None else memory.select(batch.owners)

    def diagonality(self, batch: Batch) -> list[float]:
        """How far attention runs in order, for each sentence: see attention.guided. Empty if nothing attends."""
        if not isinstance(self.decoder, Stepwise):
            return []
        weights = self.decoder.alignment(batch.tokens, self.remember(batch))
        return [] if weights is None else diagonality(weights, batch.tokens[:, 1:] > EOS).tolist()


def build_attention(config: AttentionConfig, query_dim: int, memory_dim: int) -> Attention:
    if config.score == "none":
        return NoAttention(memory_dim)
    heads = config.heads
    sizes = query_dim // heads, memory_dim // heads, config.hidden // heads  # of one head
    region = MonotonicRegion(sizes[0], sizes[2], config.window) if config.area == "monotonic" else None
    if config.score == "location":
        head = LocationAttention(*sizes, region=region)
    else:
        head = SoftAttention(build_score(config.score, *sizes), sizes[1], region)
    return head if heads == 1 else MultiHead(head, query_dim, memory_dim, heads)


def build_decoder(embedding: nn.Embedding, memory_dim: int, config: Config) -> Decoder:
    """The decoder of ``config.decoder.kind``, which embeds its tokens with ``embedding``."""
    kind = config.decoder.kind
    if kind == "ctc":
        return CTC(memory_dim, embedding.num_embeddings, dropout=config.decoder.dropout)
    hidden = config.decoder.hidden
    if kind == "s2vt":
        return S2VT(embedding, hidden, memory_dim, tied=config.decoder.tied, dropout=config.decoder.dropout)
    recurrent = RecurrentDecoder(
        embedding,
        Blind() if kind == "transducer" else build_attention(config.attention, hidden, memory_dim),
        hidden,
        memory_dim,
        cell=config.decoder.cell,
        num_layers=config.decoder.layers,
        order=config.decoder.order,
        input_feeding=config.decoder.input_feeding,
        start="zeros" if kind == "transducer" else config.decoder.start,
        tied=config.decoder.tied,
        dropout=config.decoder.dropout,
        guidance=config.attention.guidance,
        gate=config.decoder.gate,
        doubly_stochastic=config.attention.doubly_stochastic,
    )
    if kind != "attention":
        return Transducer(recurrent, memory_dim, dropout=config.decoder.dropout)
    if not config.decoder.ctc:
        return recurrent
    ctc = CTC(memory_dim, embedding.num_embeddings, dropout=config.decoder.dropout)
    return Joint(recurrent, ctc, config.decoder.ctc)


def build_model(encoder: Encoder, embedding: nn.Embedding, config: Config) -> Seq2Seq:
    """Any encoder with the decoder that the configuration asks for."""
    return Seq2Seq(encoder, build_decoder(embedding, encoder.dim, config))


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers, each shared matrix once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
