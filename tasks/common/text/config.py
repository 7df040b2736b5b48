"""Settings of vocabularies, and the tokens that every vocabulary has."""

from dataclasses import dataclass
from typing import Literal

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]  # PAD, UNK, BOS, EOS

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # tokens that spell unseen characters


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """The kind and size of the vocabularies."""

    kind: Literal["bpe", "byte", "unigram", "word", "character"] = "bpe"
    """Subwords by merging pairs (Sennrich et al. 2016), the same with bytes (Radford et al. 2019), which keeps all
    spaces and line breaks, subwords by a unigram model (Kudo 2018), words, or characters."""
    size: int = 8000
    """Maximum number of entries."""
    min_frequency: int = 2
    """Minimum frequency of an entry in the training data (bpe, byte: of a merge)."""
    shared: bool = True
    """Share one vocabulary between source and target."""
    lowercase: bool = False
    """Lower-case all text."""
    dropout: float = 0.0
    """BPE-dropout (Provilkov et al. 2020): the share of merges skipped at random in training; only with bpe."""

    def __post_init__(self):
        minimum = len(SPECIAL) + (len(BYTES) if self.kind in ("bpe", "byte", "unigram") else 0)
        if self.size <= minimum:
            raise ValueError(
                f"vocabulary.size is {self.size}; a {self.kind} vocabulary needs more than {minimum} entries"
            )
        if self.min_frequency < 0:
            raise ValueError(f"vocabulary.min_frequency is {self.min_frequency}; allowed is 0 or more")
        if not 0.0 <= self.dropout < 1.0 or (self.dropout and self.kind != "bpe"):
            raise ValueError(
                f"vocabulary.dropout is {self.dropout} with {self.kind}; allowed is 0 to below 1, only with bpe"
            )

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        return {"min_frequency": "vocabulary.kind is unigram"} if self.kind == "unigram" else {}
