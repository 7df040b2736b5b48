"""Settings of sequence encoders, one dataclass for each kind; the encoder of every modality may contain one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from attention.config import PositionName
from attention.validation import at_least, check_settings, heads_divide, share

CellName = Literal["lstm", "gru", "rnn"]
PoolingName = Literal["default", "attentive"]
StateName = Literal["subwords", "words"]
FusionName = Literal["features", "states"]
FrameAggregation = Literal["mean", "frames", "regions"]
NUM_GROUPS = 8  # groups of channels in every group norm


@dataclass(frozen=True, kw_only=True)
class RecurrentEncoderConfig:
    """Settings of an LSTM, GRU or Elman network over a sequence of vectors."""

    kind: Literal["recurrent"] = "recurrent"
    """Each kind has settings of its own."""
    cell: CellName = "lstm"
    hidden_dim: int = 256
    """Features of a state, for each direction."""
    num_layers: int = 1
    bidirectional: bool = True
    pooling: PoolingName = "default"
    """Summary for the decoder's first state: the last states (default), or a learned weighted mean of all states
    (attentive, Lin et al. 2017)."""
    dropout: float = 0.2

    def __post_init__(self):
        check_settings("encoder", self, at_least(1, self, "hidden_dim", "num_layers") | share(self, "dropout"))


@dataclass(frozen=True, kw_only=True)
class TransformerEncoderConfig:
    """Settings of a Transformer encoder (Vaswani et al. 2017) over a sequence of vectors."""

    kind: Literal["transformer"] = "transformer"
    """Each kind has settings of its own."""
    hidden_dim: int = 256
    """Features of a state."""
    num_layers: int = 1
    num_heads: int = 4
    positions: PositionName = "sinusoidal"
    """Position encoding."""
    pooling: PoolingName = "default"
    """Summary for the decoder's first state: the mean of the states (default), or a learned weighted mean
    (attentive)."""
    dropout: float = 0.2

    def __post_init__(self):
        allowed = at_least(1, self, "hidden_dim", "num_layers", "num_heads")
        if self.num_heads >= 1:
            allowed["num_heads"] = heads_divide(self.hidden_dim, self.num_heads, self.positions)
        check_settings("encoder", self, allowed | share(self, "dropout"))


@dataclass(frozen=True, kw_only=True)
class ConvS2SEncoderConfig:
    """Settings of gated convolutions over a sequence of vectors (Gehring et al. 2017)."""

    kind: Literal["convolutional"] = "convolutional"
    """Each kind has settings of its own."""
    hidden_dim: int = 256
    """Features of a state."""
    num_layers: int = 1
    pooling: PoolingName = "default"
    """Summary for the decoder's first state: the mean of the states (default), or a learned weighted mean
    (attentive)."""
    dropout: float = 0.2

    def __post_init__(self):
        check_settings("encoder", self, at_least(1, self, "hidden_dim", "num_layers") | share(self, "dropout"))


@dataclass(frozen=True, kw_only=True)
class NoSequenceEncoderConfig:
    """Settings without a sequence encoder: the decoder attends to the projected states of the frontend."""

    kind: Literal["none"] = "none"
    """Each kind has settings of its own."""
    hidden_dim: int = 256
    """Features of a projected state."""
    pooling: PoolingName = "default"
    """Summary for the decoder's first state: the mean of the states (default), or a learned weighted mean
    (attentive)."""
    dropout: float = 0.2

    def __post_init__(self):
        check_settings("encoder", self, at_least(1, self, "hidden_dim") | share(self, "dropout"))


SequenceEncoderConfig = RecurrentEncoderConfig | TransformerEncoderConfig | ConvS2SEncoderConfig


def are_valid_channels(channels: Sequence[int]) -> bool:
    """Return whether a :class:`SmallResNet` can have these channels: one or more positive multiples of NUM_GROUPS."""
    return len(channels) > 0 and all(number > 0 and number % NUM_GROUPS == 0 for number in channels)
