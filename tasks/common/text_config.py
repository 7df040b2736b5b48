"""The settings of all tasks from text to text."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from attention.validation import at_least, check_settings
from encoders.config import RecurrentEncoderConfig, SequenceEncoderConfig, StateName
from tasks.common.config import Config


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Settings of the text encoder: token embeddings or a pretrained model, and a sequence encoder.

    The dropout rate of the sequence encoder is also that of its inputs and of the encoder's states.
    """

    sequence: Annotated[SequenceEncoderConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: RecurrentEncoderConfig(dropout=0.3), kw_only=False
    )
    pretrained: str | None = None
    """Folder or hub id of a BERT, XLM-R, ModernBERT, T5, BART or another text encoder of transformers, in place of the
    embeddings; it is frozen unless train.encoder_lr is set, and has a vocabulary of its own."""
    states: StateName = "subwords"
    """The unit that has a state of a pretrained encoder: a subword, or a word, the mean of its subwords."""
    embedding_dim: int = 256
    reverse: bool = False
    """Encode the text from its last token to its first (Sutskever et al. 2014)."""
    max_source_tokens: int = 0
    """Truncate longer sources (0: never); the side that is kept depends on the task."""

    def __post_init__(self):
        check_settings("encoder", self, at_least(1, self, "embedding_dim") | at_least(0, self, "max_source_tokens"))

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        if self.pretrained is None:
            return {"states": "encoder.pretrained is not set"}
        return {"embedding_dim": "encoder.pretrained is set"}


@dataclass(frozen=True, kw_only=True)
class TextTaskConfig(Config):
    """Settings of every task from text to text."""

    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)

    def __post_init__(self):
        super().__post_init__()
        # A truncated source has special tokens as well: EOS, or those of a pretrained encoder, mostly two.
        kept, limit = self.encoder.max_source_tokens, self.batch.max_source_length
        needed = kept + (1 if self.encoder.pretrained is None else 2)
        if kept and needed > limit:
            raise ValueError(
                f"encoder.max_source_tokens is {kept} and batch.max_source_length {limit}, so training would skip all "
                f"truncated sources; allowed is a batch.max_source_length of {needed} or more"
            )

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused = super().unused_settings() | {"batch.targets_per_source": "a source has one target"}
        if self.encoder.pretrained is not None:
            unused["vocabulary.shared"] = "encoder.pretrained has a vocabulary of its own"
        return unused

    @property
    def shares_vocabulary(self) -> bool:
        """True if source and target have one vocabulary."""
        return self.vocabulary.shared and self.encoder.pretrained is None
