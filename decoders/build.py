"""Build decoders from their configuration."""

from torch import nn

from attention.build import build_attention, build_attention_losses, build_reinforce_loss
from attention.config import AttentionConfig
from attention.fixed_context import NoContext
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import PAD, Decoder
from decoders.config import (
    AttentionTransducerDecoderConfig,
    CTCDecoderConfig,
    DecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)
from decoders.ctc import CTC
from decoders.joint_ctc import JointCTCAttention
from decoders.pointer_generator import PointerGenerator
from decoders.recurrent import RecurrentDecoder
from decoders.s2vt import S2VT
from decoders.transducer import Transducer
from decoders.transformer import TransformerDecoder


def build_decoder(
    config: DecoderConfig,
    attention: AttentionConfig | None,
    *,
    vocab_size: int,
    memory_dim: int,
    embedding: nn.Embedding | None = None,
) -> Decoder:
    """Build the decoder of ``config``.

    Args:
        config: The settings of one kind of decoder.
        attention: The settings of the attention to the source; None for decoders without attention.
        vocab_size: Size of the target vocabulary.
        memory_dim: Features of the encoder's states.
        embedding: The embedding of target tokens, if it is shared with an encoder.

    Raises:
        ValueError: for settings that do not go together.
    """
    check_attention(config, attention)
    if isinstance(config, CTCDecoderConfig):
        return CTC(memory_dim, vocab_size, dropout=config.dropout)
    if embedding is None:
        embedding = nn.Embedding(vocab_size, config.embedding_dim, padding_idx=PAD)
    if isinstance(config, S2VTDecoderConfig):
        return S2VT(
            embedding, config.hidden_dim, memory_dim, tie_embeddings=config.tie_embeddings, dropout=config.dropout
        )
    if isinstance(config, TransducerDecoderConfig):
        return Transducer(build_prediction_network(config, embedding, memory_dim), memory_dim, dropout=config.dropout)
    assert attention is not None
    if isinstance(config, AttentionTransducerDecoderConfig):
        return Transducer(build_recurrent(config, attention, embedding, memory_dim), memory_dim, dropout=config.dropout)
    if isinstance(config, TransformerDecoderConfig):
        decoder: RecurrentDecoder | TransformerDecoder = build_transformer(config, attention, embedding, memory_dim)
    else:
        decoder = build_recurrent(config, attention, embedding, memory_dim)
    return wrap_decoder(config, decoder, vocab_size, memory_dim)


def check_attention(config: DecoderConfig, attention: AttentionConfig | None) -> None:
    """Refuse settings of attention that the decoder cannot use.

    Raises:
        ValueError: for the first such setting.
    """
    if not config.uses_attention:
        if attention is not None:
            raise ValueError(
                f"decoder.kind is {config.kind}, which has no attention, but there are settings of attention"
            )
        return
    if attention is None:
        raise ValueError(f"decoder.kind is {config.kind}, which needs settings of attention, but there are none")
    if isinstance(config, AttentionTransducerDecoderConfig):
        if build_reinforce_loss(attention) is not None:
            raise ValueError(
                "attention.estimator is reinforce, which needs the likelihood of each token, and decoder.kind "
                "transducer_attention has none; allowed is gumbel"
            )
        # Its loss is a sum over all alignments, to which the losses of single attention weights do not belong.
        for name in ("guidance_weight", "doubly_stochastic_weight", "coverage_weight"):
            if getattr(attention, name):
                raise ValueError(
                    f"attention.{name} is {getattr(attention, name)}, which decoder.kind transducer_attention cannot "
                    "use; allowed is 0"
                )
    if (
        isinstance(config, RecurrentDecoderConfig | TransformerDecoderConfig)
        and config.copy
        and attention.score == "none"
    ):
        raise ValueError(
            "decoder.copy needs attention weights, and attention.score is none; choose another score, or leave "
            "decoder.copy out"
        )


def build_recurrent(
    config: RecurrentDecoderConfig | AttentionTransducerDecoderConfig,
    attention: AttentionConfig,
    embedding: nn.Embedding,
    memory_dim: int,
) -> RecurrentDecoder:
    """Build a recurrent decoder with attention."""
    return RecurrentDecoder(
        embedding,
        build_attention(attention, config.hidden_dim, memory_dim),
        config.hidden_dim,
        memory_dim,
        cell=config.cell,
        num_layers=config.num_layers,
        attention_order=config.attention_order,
        input_feeding=config.input_feeding,
        readout=config.readout,
        init_state=config.init_state,
        tie_embeddings=config.tie_embeddings,
        dropout=config.dropout,
        context_gate=config.context_gate,
        attention_losses=build_attention_losses(attention),
        reinforce_loss=build_reinforce_loss(attention),
    )


def build_prediction_network(
    config: TransducerDecoderConfig, embedding: nn.Embedding, memory_dim: int
) -> RecurrentDecoder:
    """Build the prediction network of a plain transducer: a recurrent decoder without context, so a language model."""
    return RecurrentDecoder(
        embedding,
        NoContext(),
        config.hidden_dim,
        memory_dim,
        cell=config.cell,
        num_layers=config.num_layers,
        init_state="zeros",
        tie_embeddings=config.tie_embeddings,
        dropout=config.dropout,
    )


def build_transformer(
    config: TransformerDecoderConfig, attention: AttentionConfig, embedding: nn.Embedding, memory_dim: int
) -> TransformerDecoder:
    """Build a Transformer decoder with an attention of its own for each layer."""
    return TransformerDecoder(
        embedding,
        [build_attention(attention, config.hidden_dim, memory_dim) for _ in range(config.num_layers)],
        config.hidden_dim,
        num_heads=config.num_heads,
        positions=config.positions,
        tie_embeddings=config.tie_embeddings,
        dropout=config.dropout,
        attention_losses=build_attention_losses(attention),
        reinforce_loss=build_reinforce_loss(attention),
    )


def wrap_decoder(
    config: RecurrentDecoderConfig | TransformerDecoderConfig,
    decoder: RecurrentDecoder | TransformerDecoder,
    vocab_size: int,
    memory_dim: int,
) -> AutoregressiveDecoder:
    """Wrap the decoder in a pointer-generator, in joint CTC/attention, or in both, as configured."""
    wrapped: AutoregressiveDecoder = decoder
    if config.copy:
        wrapped = PointerGenerator(decoder, decoder.output.in_features)
    if config.ctc_weight:
        ctc = CTC(memory_dim, vocab_size, dropout=config.dropout)
        wrapped = JointCTCAttention(wrapped, ctc, config.ctc_weight)
    return wrapped


def uses_summary(config: DecoderConfig) -> bool:
    """Return True if the decoder's first state is a projection of the encoder's summary."""
    is_recurrent = isinstance(config, RecurrentDecoderConfig | AttentionTransducerDecoderConfig)
    return is_recurrent and config.init_state == "projection"
