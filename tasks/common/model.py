"""An encoder and a decoder as one model, and the loss of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.memory import Memory
from decoders.base import EOS, Decoder, Loss
from decoders.build import build_decoder, uses_summary
from encoders.base import Encoder
from encoders.pooling import AttentivePooling
from tasks.common.config import ModelConfig
from tasks.common.data.batching import Batch


@dataclass(frozen=True)
class Alignment:
    """The attention to the source for the reference tokens of a batch.

    Attributes:
        weights: The attention weights.
        target_mask: True for real tokens.
        source_mask: True for real source positions.
        gates: The gates of the contexts, 0 to 1; None for a decoder without gates.
    """

    weights: Float[Tensor, "batch target source"]
    target_mask: Bool[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    gates: Float[Tensor, "batch target"] | None = None


class Seq2Seq(nn.Module):
    """Any encoder with any decoder."""

    def __init__(self, encoder: Encoder, decoder: Decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def part(self, name: str) -> "Seq2Seq":
        """Return the model of a part of the training: the whole, since there is only one."""
        return self

    def forward(self, batch: Batch, *, label_smoothing: float = 0.0, teacher_forcing: float = 1.0) -> Loss:
        """Compute the loss of a batch, summed over its target tokens: see ``Decoder.loss``."""
        memory = self.encode(batch)
        return self.decoder.loss(
            batch.tokens,
            memory,
            label_smoothing=label_smoothing,
            teacher_forcing=teacher_forcing,
            num_tokens=batch.num_target_tokens,
        )

    def encode(self, batch: Batch) -> Memory:
        """Encode each source once, and return a memory with one row for each target sentence."""
        memory = self.encoder(batch.source)
        return memory if batch.source_index is None else memory.repeat(batch.source_index)

    def align(self, batch: Batch) -> Alignment | None:
        """Compute the attention weights of the reference tokens; None for a decoder without attention weights."""
        if not (self.decoder.is_label_synchronous and self.decoder.has_alignment):
            return None
        memory = self.encode(batch)
        weights, gates = self.decoder.alignment_and_gates(batch.tokens, memory)
        return None if weights is None else Alignment(weights, batch.tokens[:, 1:] > EOS, memory.mask, gates)


class JointModel(nn.Module):
    """An encoder for each of several tasks, and one decoder for all."""

    def __init__(self, encoders: Mapping[str, Encoder], decoder: Decoder):
        """Keep the encoders by the names of their tasks; the memories of all have the same number of features."""
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoder = decoder

    def part(self, name: str) -> Seq2Seq:
        """Return the model of a task, which shares its modules with this one."""
        return Seq2Seq(cast(Encoder, self.encoders[name]), self.decoder)


Model = Seq2Seq | JointModel


def build_decoder_for(
    encoders: Sequence[Encoder], config: ModelConfig, *, vocab_size: int, embedding: nn.Embedding | None = None
) -> Decoder:
    """Build the decoder of a configuration.

    Args:
        encoders: The encoders whose memories it reads, with equally many features.
        config: The configuration; its ``attention`` and ``decoder`` are used.
        vocab_size: Entries of the target vocabulary.
        embedding: The embedding of target tokens, if encoder and decoder share one.

    Raises:
        ValueError: for settings that do not go together.
    """
    if getattr(config.decoder, "copy", False) and not all(encoder.has_token_ids for encoder in encoders):
        raise ValueError("decoder.copy needs a text source: there are no source tokens to copy")
    pooled = any(isinstance(module, AttentivePooling) for encoder in encoders for module in encoder.modules())
    fixed_context = config.attention is not None and config.attention.score == "none"
    if pooled and not fixed_context and not uses_summary(config.decoder):
        raise ValueError(
            "encoder.pooling is attentive, but the decoder has no use for the summary: allowed is default, or "
            "decoder.kind recurrent with decoder.init_state projection"
        )
    return build_decoder(
        config.decoder, config.attention, vocab_size=vocab_size, memory_dim=encoders[0].dim, embedding=embedding
    )


def count_parameters(model: nn.Module) -> int:
    """Count the trainable parameters, each shared matrix once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
