"""Encoder and decoder put together, and the loss of a batch."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention import (
    Attention,
    AttentionLossWeights,
    CategoricalSelector,
    FixedContext,
    GumbelSelector,
    HierarchicalSoftmax,
    MultiHeadAttention,
    NoContext,
    ReinforceLoss,
    ScoredAttention,
    build_locality,
    build_score,
)
from decoders import (
    CTC,
    EOS,
    S2VT,
    AutoregressiveDecoder,
    Decoder,
    JointCTCAttention,
    PointerGenerator,
    RecurrentDecoder,
    Transducer,
    TransformerDecoder,
)
from encoders.base import Encoder, Memory, SequenceEncoder
from encoders.convolutional import ConvS2SEncoder
from encoders.pooling import AttentivePooling, build_pooling
from encoders.recurrent import RecurrentEncoder
from encoders.transformer import TransformerEncoder
from tasks.common.config import AttentionConfig, Config, DecoderConfig, ReaderConfig
from tasks.common.data.tables import Batch


class Seq2Seq(nn.Module):
    """Any encoder with any decoder."""

    def __init__(self, encoder: Encoder, decoder: Decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, batch: Batch, *, label_smoothing: float = 0.0, teacher_forcing: float = 1.0) -> Float[Tensor, ""]:
        """The batch's loss, summed over its real target tokens: see Decoder.loss."""
        memory = self.encode(batch)
        return self.decoder.loss(batch.tokens, memory, label_smoothing=label_smoothing, teacher_forcing=teacher_forcing)

    def encode(self, batch: Batch) -> Memory:
        """A memory for each of the batch's target sentences; sources that have several are encoded once."""
        memory = self.encoder(batch.source)
        return memory if batch.source_index is None else memory.select(batch.source_index)

    def align(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "batch target source"], Bool[Tensor, "batch target"], Bool[Tensor, "batch source"]] | None:
        """Where attention looks for each of the batch's words, and what of that is real; None if nothing attends."""
        if not isinstance(self.decoder, AutoregressiveDecoder):
            return None
        memory = self.encode(batch)
        weights = self.decoder.alignment(batch.tokens, memory)
        return None if weights is None else (weights, batch.tokens[:, 1:] > EOS, memory.mask)


def build_sequence_encoder(input_dim: int, config: ReaderConfig) -> SequenceEncoder:
    """The reader of ``config.kind``."""
    if config.kind == "recurrent":
        return RecurrentEncoder(
            input_dim,
            config.hidden,
            cell=config.cell,
            num_layers=config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
            pooling=build_pooling(config.summary, config.hidden * (1 + config.bidirectional)),
        )
    pooling = build_pooling(config.summary, config.hidden)
    if config.kind == "convolutional":
        return ConvS2SEncoder(
            input_dim, config.hidden, num_layers=config.layers, dropout=config.dropout, pooling=pooling
        )
    return TransformerEncoder(
        input_dim,
        config.hidden,
        num_layers=config.layers,
        num_heads=config.heads,
        positions=config.positions,
        dropout=config.dropout,
        pooling=pooling,
    )


def build_attention(config: AttentionConfig, query_dim: int, memory_dim: int) -> Attention:
    if config.score == "none":
        return FixedContext(memory_dim)
    heads = config.heads
    sizes = query_dim // heads, memory_dim // heads, config.hidden // heads  # of one head
    hierarchy = region = draw = None
    if config.structure == "hierarchical":  # a score that looks at its own past has one of states, not of segments
        score = "additive" if config.score == "location" else config.score
        hierarchy = HierarchicalSoftmax(build_score(score, *sizes), config.segment)
    if config.area == "hard":
        draw = CategoricalSelector() if config.estimator == "reinforce" else GumbelSelector(config.temperature)
    elif config.area != "global":
        region = build_locality(config.area, sizes[0], sizes[2], config.window)
    score = build_score(config.score, *sizes)
    head = ScoredAttention(score, sizes[1], hierarchy=hierarchy, region=region, draw=draw)
    return head if heads == 1 else MultiHeadAttention(head, query_dim, memory_dim, heads)


def build_reinforce_loss(config: AttentionConfig) -> ReinforceLoss | None:
    """What drawn looks learn by, where any are and need it."""
    drawn = config.area == "hard" and config.estimator == "reinforce"
    return ReinforceLoss(entropy=config.entropy) if drawn else None


def build_attention_losses(config: AttentionConfig) -> AttentionLossWeights:
    return AttentionLossWeights(config.guidance, config.doubly_stochastic, config.coverage)


def build_transformer(embedding: nn.Embedding, memory_dim: int, config: Config) -> TransformerDecoder:
    decoder = config.decoder
    attentions = [build_attention(config.attention, decoder.hidden, memory_dim) for _ in range(decoder.layers)]
    return TransformerDecoder(
        embedding,
        attentions,
        decoder.hidden,
        num_heads=decoder.heads,
        positions=decoder.positions,
        tied=decoder.tied,
        dropout=decoder.dropout,
        losses=build_attention_losses(config.attention),
        reinforce=build_reinforce_loss(config.attention),
    )


def build_recurrent(embedding: nn.Embedding, memory_dim: int, config: Config) -> RecurrentDecoder:
    decoder = config.decoder
    blind = decoder.kind == "transducer"
    return RecurrentDecoder(
        embedding,
        NoContext() if blind else build_attention(config.attention, decoder.hidden, memory_dim),
        decoder.hidden,
        memory_dim,
        cell=decoder.cell,
        num_layers=decoder.layers,
        order=decoder.order,
        input_feeding=decoder.input_feeding,
        start="zeros" if blind else decoder.start,
        tied=decoder.tied,
        dropout=decoder.dropout,
        losses=build_attention_losses(config.attention),
        gate=decoder.gate,
        reinforce=build_reinforce_loss(config.attention),
    )


def build_decoder(embedding: nn.Embedding, memory_dim: int, config: Config) -> Decoder:
    """The decoder of ``config.decoder.kind``, which embeds its tokens with ``embedding``.

    Raises ValueError for attention that the decoder cannot learn or use.
    """
    kind, dropout = config.decoder.kind, config.decoder.dropout
    if kind == "ctc":
        return CTC(memory_dim, embedding.num_embeddings, dropout=dropout)
    if kind == "s2vt":
        return S2VT(embedding, config.decoder.hidden, memory_dim, tied=config.decoder.tied, dropout=dropout)
    if kind == "transducer_attention" and build_reinforce_loss(config.attention) is not None:
        raise ValueError(
            "REINFORCE needs the likelihood of each word, which a transducer does not have: choose "
            "--attention.estimator gumbel, or another --decoder.kind"
        )
    build = build_transformer if kind == "transformer" else build_recurrent
    decoder = build(embedding, memory_dim, config)
    if isinstance(decoder, RecurrentDecoder) and kind != "attention":
        return Transducer(decoder, memory_dim, dropout=dropout)
    if config.decoder.copy:
        if config.attention.score == "none":
            raise ValueError("--decoder.copy goes by where attention looks: choose another --attention.score than none")
        decoder = PointerGenerator(decoder, decoder.output.in_features)
    if not config.decoder.ctc:
        return decoder
    return JointCTCAttention(decoder, CTC(memory_dim, embedding.num_embeddings, dropout=dropout), config.decoder.ctc)


def reads_summary(config: DecoderConfig) -> bool:
    """Whether anything but attention that is none needs the memory's summary."""
    return config.kind in ("attention", "transducer_attention") and config.start == "projection"


def build_model(encoder: Encoder, embedding: nn.Embedding, config: Config) -> Seq2Seq:
    """Any encoder with the decoder that the configuration asks for.

    Raises ValueError for what does not go together.
    """
    if config.decoder.copy and not encoder.reads_text:
        raise ValueError("--decoder.copy needs a source that is text: there are no words to copy here; leave it out")
    pooled = any(isinstance(module, AttentivePooling) for module in encoder.modules())
    if pooled and config.attention.score != "none" and not reads_summary(config.decoder):
        raise ValueError(
            "--encoder.pooling attentive is for a decoder that starts from a summary: choose --decoder.kind recurrent "
            "with --decoder.init-state projection, or leave it out"
        )
    return Seq2Seq(encoder, build_decoder(embedding, encoder.dim, config))


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers, each shared matrix once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
