"""Configurations: frozen dataclasses beside what they configure, joined here, kept as JSON, changed by flags."""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from attention.locality import LocalityName
from attention.positions import PositionName
from attention.score_functions import ScoreName
from decoders.recurrent import Order, Start
from decoders.search_config import SearchConfig
from encoders.pooling import PoolingName
from encoders.recurrent import CellName
from tasks.common.data.tables import BatchConfig
from tasks.common.errors import UsageError, at_least, check
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.training.optimization import TrainConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    score: ScoreName | Literal["none"] = "additive"
    """How query and key are compared; location is additive and knows where it looked before (Chorowski et al. 2015);
    none is the plain fixed context vector."""
    area: LocalityName | Literal["global", "hard"] = "global"
    """Where to look: anywhere; near the position of the word that is written, or near one that the query predicts
    (local_m and local_p, Luong et al. 2015); in a window that moves on with every word (monotonic, Tjandra et al.
    2017); at one position, which is drawn (hard, Xu et al. 2015)."""
    window: float = 10.0
    """How far local areas reach to either side, in states of the encoder; twice the deviation of their Gaussians."""
    estimator: Literal["reinforce", "gumbel"] = "reinforce"
    """How hard attention learns: by REINFORCE with a baseline, or through a straight-through Gumbel-softmax."""
    entropy: float = 0.1
    """With REINFORCE, the weight of the draws' entropy."""
    temperature: float = 1.0
    """Of the Gumbel-softmax."""
    structure: Literal["flat", "hierarchical"] = "flat"
    """Hierarchical: segments first, then the states inside them."""
    segment: int = 0
    """States in a segment; 0: as the source is cut (rows of a picture, frames with their regions, a text's sentences),
    and 8 where it is not."""
    heads: int = 1
    hidden: int = 512
    """Width of the perceptron in additive, concat and location."""
    guidance: float = 0.0
    """Weight of the loss that keeps attention near the diagonal (Tachibana et al. 2018)."""
    doubly_stochastic: float = 0.0
    """Weight of the loss that makes attention leave no part of the source out (Xu et al. 2015)."""
    coverage: float = 0.0
    """Weight of the loss that keeps attention from looking at the same again (See et al. 2017)."""

    def __post_init__(self):
        none = self.score == "none"
        allowed = at_least(1, self, "heads", "hidden")
        allowed |= at_least(0, self, "guidance", "doubly_stochastic", "coverage", "entropy", "segment")
        allowed |= {
            "heads": (self.heads >= 1 and not (none and self.heads > 1), "1 where score is none, else 1 or more"),
            "area": (not none or self.area == "global", "global where score is none"),
            "structure": (not none or self.structure == "flat", "flat where score is none"),
            "window": (self.window > 0, "above 0"),
            "temperature": (self.temperature > 0, "above 0"),
        }
        check("attention", self, allowed)


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    kind: Literal["attention", "transformer", "ctc", "transducer", "transducer_attention", "s2vt"] = "attention"
    """How the sentence is written: by the shared attentional LSTM; by a Transformer, attention alone (Vaswani et al.
    2017); CTC (Graves et al. 2006); an RNN-transducer (Graves 2012), plain or with attention (Prabhavalkar et al.
    2017); S2VT (Venugopalan et al. 2015b), which reads the source and then writes."""
    ctc: float = 0.0
    """Beside attention, the weight of a CTC loss, and of CTC's score in the search (Watanabe et al. 2017)."""
    copy: bool = False
    """Words of a source that is text may be copied from where attention looks (See et al. 2017)."""
    cell: CellName = "lstm"
    hidden: int = 512
    layers: int = 1
    embedding: int = 256
    order: Order = "after"
    """Attend after the cell's step (Luong) or before it (Bahdanau)."""
    input_feeding: bool = False
    """The cell also reads its last readout."""
    gate: bool = False
    """A gate on the context, by which a word may do without the source (Xu et al. 2015)."""
    start: Start = "projection"
    """First state: a projection of the source's summary, or zeros."""
    heads: int = 4
    """Of a Transformer's self-attention; how it looks at the source is --attention's affair."""
    positions: PositionName = "sinusoidal"
    """How a Transformer knows the order of words."""
    tied: bool = True
    """The output matrix is the target embedding."""
    dropout: float = 0.3

    def __post_init__(self):
        allowed = at_least(1, self, "hidden", "layers", "embedding", "heads")
        check("decoder", self, allowed | {"ctc": (0 <= self.ctc < 1, "0 to below 1")})


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """What reads a sequence of vectors, in any encoder."""

    kind: Literal["recurrent", "transformer", "convolutional"] = "recurrent"
    """A recurrent network; self-attention alone (Vaswani et al. 2017); or gated convolutions (Gehring et al. 2017)."""
    cell: CellName = "lstm"
    hidden: int = 256
    """Features of a state; in a recurrent network, of each direction."""
    layers: int = 1
    bidirectional: bool = True
    heads: int = 4
    """Of self-attention."""
    positions: PositionName = "sinusoidal"
    """How self-attention knows the order of states."""
    summary: PoolingName = "own"
    """What the decoder starts from: its own (a recurrent network's last states, else the mean), or a learned mean (Lin
    et al. 2017)."""
    dropout: float = 0.2

    def __post_init__(self):
        check("encoder", self, self.allowed())

    def allowed(self) -> dict[str, tuple[bool, str]]:
        """What each setting may be."""
        return at_least(1, self, "hidden", "layers", "heads")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What every task configures; a task adds its encoder."""

    data: str | None = None
    """A folder or a hub id; without it the embedded world."""
    skip_invalid: bool = False
    """Leave bad rows out instead of stopping."""
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    search: SearchConfig = field(default_factory=SearchConfig)


def from_dict(kind: type[T], values: Any, path: Path) -> T:
    """A configuration from what JSON holds of it. Raises UsageError, naming ``path``, if it does not fit."""
    try:
        return _build(kind, values)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not a configuration of this program ({error}); train the run anew") from error


def _build(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next((option for option in typing.get_args(kind) if dataclasses.is_dataclass(option)), None)
        return value if kind is None or value is None else _build(kind, value)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        unknown_name = set(value) - set(hints)
        if unknown_name:
            raise ValueError(f"unknown setting {sorted(unknown_name)[0]!r}")
        return typing.cast(Any, kind)(**{name: _build(hints[name], inner) for name, inner in value.items()})
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    if typing.get_origin(kind) is Literal:
        right = value in typing.get_args(kind)
    elif kind is float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        right = not isinstance(kind, type) or type(value) is kind
    if not right:
        raise ValueError(f"{value!r} is no {getattr(kind, '__name__', kind)}")
    return value
