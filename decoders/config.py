"""Settings of decoders, one dataclass for each kind, and of search and sampling.

``is_label_synchronous``: the decoder is label-synchronous (predicts token by token), so that label smoothing and
scheduled sampling apply; CTC and transducers are frame-synchronous.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from attention.config import PositionName
from attention.validation import at_least, check_settings, heads_divide, share
from encoders.config import CellName

MAX_HYPOTHESES = 10_000  # of a source; each has a state of its own
MAX_TOKENS = 100_000  # of a sentence

AttentionOrder = Literal["luong", "bahdanau"]
InitStateName = Literal["projection", "zeros"]
ReadoutName = Literal["feedforward", "recurrent"]


@dataclass(frozen=True, kw_only=True)
class RecurrentDecoderConfig:
    """Settings of the attentional LSTM, GRU or RNN decoder."""

    uses_attention: ClassVar[bool] = True
    is_label_synchronous: ClassVar[bool] = True

    kind: Literal["recurrent"] = "recurrent"
    """Each kind has settings of its own."""
    cell: CellName = "lstm"
    hidden_dim: int = 512
    num_layers: int = 1
    embedding_dim: int = 256
    attention_order: AttentionOrder = "luong"
    """Attend after the recurrent update (Luong et al. 2015) or before it (Bahdanau et al. 2015)."""
    input_feeding: bool = False
    """Feed the previous output features to the cell."""
    readout: ReadoutName = "feedforward"
    """Predict from the state and the context, or from another recurrent layer over both, which remembers what was
    attended to (Anderson et al. 2018)."""
    context_gate: bool = False
    """Scale the context by a learned scalar gate (Xu et al. 2015)."""
    init_state: InitStateName = "projection"
    """First state: a projection of the encoder's summary, or zeros; that of a recurrent readout is always zeros."""
    tie_embeddings: bool = True
    """Use the target embedding as the output matrix."""
    dropout: float = 0.3
    ctc_weight: float = 0.0
    """Weight of CTC in joint CTC/attention training and decoding (Watanabe et al. 2017)."""
    copy: bool = False
    """Pointer-generator: copy source tokens by the attention weights (See et al. 2017); for text sources."""

    def __post_init__(self):
        allowed = at_least(1, self, "hidden_dim", "num_layers", "embedding_dim")
        check_settings("decoder", self, allowed | share(self, "dropout", "ctc_weight"))


@dataclass(frozen=True, kw_only=True)
class TransformerDecoderConfig:
    """Settings of the Transformer decoder (Vaswani et al. 2017), whose cross-attention has an ``AttentionConfig``."""

    uses_attention: ClassVar[bool] = True
    is_label_synchronous: ClassVar[bool] = True

    kind: Literal["transformer"] = "transformer"
    """Each kind has settings of its own."""
    hidden_dim: int = 512
    num_layers: int = 1
    num_heads: int = 4
    """Heads of the self-attention; attention.num_heads are those of the cross-attention."""
    positions: PositionName = "sinusoidal"
    """Position encoding."""
    embedding_dim: int = 256
    tie_embeddings: bool = True
    """Use the target embedding as the output matrix."""
    dropout: float = 0.3
    ctc_weight: float = 0.0
    """Weight of CTC in joint CTC/attention training and decoding (Watanabe et al. 2017)."""
    copy: bool = False
    """Pointer-generator: copy source tokens by the attention weights (See et al. 2017); for text sources."""

    def __post_init__(self):
        allowed = at_least(1, self, "hidden_dim", "num_layers", "num_heads", "embedding_dim")
        if self.num_heads >= 1:
            allowed["num_heads"] = heads_divide(self.hidden_dim, self.num_heads, self.positions)
        check_settings("decoder", self, allowed | share(self, "dropout", "ctc_weight"))


@dataclass(frozen=True, kw_only=True)
class CTCDecoderConfig:
    """Settings of a CTC output layer (Graves et al. 2006)."""

    uses_attention: ClassVar[bool] = False
    is_label_synchronous: ClassVar[bool] = False

    kind: Literal["ctc"] = "ctc"
    """Each kind has settings of its own."""
    dropout: float = 0.3

    def __post_init__(self):
        check_settings("decoder", self, share(self, "dropout"))


@dataclass(frozen=True, kw_only=True)
class TransducerDecoderConfig:
    """Settings of an RNN-transducer (Graves 2012)."""

    uses_attention: ClassVar[bool] = False
    is_label_synchronous: ClassVar[bool] = False

    kind: Literal["transducer"] = "transducer"
    """Each kind has settings of its own."""
    cell: CellName = "lstm"
    hidden_dim: int = 512
    num_layers: int = 1
    embedding_dim: int = 256
    tie_embeddings: bool = True
    """Use the target embedding as the output matrix."""
    dropout: float = 0.3

    def __post_init__(self):
        allowed = at_least(1, self, "hidden_dim", "num_layers", "embedding_dim")
        check_settings("decoder", self, allowed | share(self, "dropout"))


@dataclass(frozen=True, kw_only=True)
class AttentionTransducerDecoderConfig:
    """Settings of an RNN-transducer whose prediction network attends to the source (Prabhavalkar et al. 2017)."""

    uses_attention: ClassVar[bool] = True
    is_label_synchronous: ClassVar[bool] = False

    kind: Literal["transducer_attention"] = "transducer_attention"
    """Each kind has settings of its own."""
    cell: CellName = "lstm"
    hidden_dim: int = 512
    num_layers: int = 1
    embedding_dim: int = 256
    attention_order: AttentionOrder = "luong"
    """Attend after the recurrent update (Luong et al. 2015) or before it (Bahdanau et al. 2015)."""
    input_feeding: bool = False
    """Feed the previous output features to the cell."""
    readout: ReadoutName = "feedforward"
    """Predict from the state and the context, or from another recurrent layer over both, which remembers what was
    attended to (Anderson et al. 2018)."""
    context_gate: bool = False
    """Scale the context by a learned scalar gate (Xu et al. 2015)."""
    init_state: InitStateName = "projection"
    """First state: a projection of the encoder's summary, or zeros; that of a recurrent readout is always zeros."""
    tie_embeddings: bool = True
    """Use the target embedding as the output matrix."""
    dropout: float = 0.3

    def __post_init__(self):
        allowed = at_least(1, self, "hidden_dim", "num_layers", "embedding_dim")
        check_settings("decoder", self, allowed | share(self, "dropout"))


@dataclass(frozen=True, kw_only=True)
class S2VTDecoderConfig:
    """Settings of S2VT: two stacked LSTMs that read the source, then generate (Venugopalan et al. 2015b)."""

    uses_attention: ClassVar[bool] = False
    is_label_synchronous: ClassVar[bool] = True

    kind: Literal["s2vt"] = "s2vt"
    """Each kind has settings of its own."""
    hidden_dim: int = 512
    embedding_dim: int = 256
    tie_embeddings: bool = True
    """Use the target embedding as the output matrix."""
    dropout: float = 0.3

    def __post_init__(self):
        check_settings("decoder", self, at_least(1, self, "hidden_dim", "embedding_dim") | share(self, "dropout"))


DecoderConfig = (
    RecurrentDecoderConfig
    | TransformerDecoderConfig
    | CTCDecoderConfig
    | TransducerDecoderConfig
    | AttentionTransducerDecoderConfig
    | S2VTDecoderConfig
)


def supports_mps(config: DecoderConfig) -> bool:
    """Tell whether a decoder computes without CTC and float64, which PyTorch has not on Apple's GPUs (mps)."""
    return config.is_label_synchronous and not getattr(config, "ctc_weight", 0.0)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of decoding: beam search or sampling. Lengths are in tokens, excluding the end of the sentence."""

    beam: int = 5
    """Beam size; 1 is greedy search."""
    length_penalty: float = 1.0
    """Scores are divided by length to this power (0: plain log-probabilities, which favor short sentences)."""
    coverage_penalty: float = 0.0
    """Weight of the penalty for source positions without attention (beta in Wu et al. 2016)."""
    no_repeat_ngram: int = 0
    """Size of n-grams that may not occur twice in a sentence (0: no limit)."""
    min_length: int = 1
    max_length: int = 128
    n_best: int = 1
    """Sentences returned for a source: at most ``beam``, or any number of samples."""
    sample: bool = False
    """Sample from the model's distribution instead of searching for the best sentence."""
    temperature: float = 1.0
    """Sampling temperature; below 1 sharpens the distribution."""
    top_k: int = 0
    """Sample from the k most probable tokens only (0: all)."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with this total probability (Holtzman et al. 2020)."""
    ctc_weight: float | None = None
    """Weight of CTC in joint CTC/attention decoding (None: as in training)."""
    precision: Literal["no", "bf16", "fp16", "auto"] = "no"
    """Mixed precision: bf16 on a GPU, or on a CPU with AVX-512 BF16 or AMX, where it is twice as fast; fp16 on a GPU;
    auto for bf16 on such a device and float32 on others. A few sentences differ."""

    def __post_init__(self):
        check_settings(
            "search",
            self,
            {
                "beam": (1 <= self.beam <= MAX_HYPOTHESES, f"1 to {MAX_HYPOTHESES}"),
                "n_best": (
                    1 <= self.n_best <= (MAX_HYPOTHESES if self.sample else self.beam),
                    f"1 to {MAX_HYPOTHESES}" if self.sample else f"between 1 and the beam, {self.beam}",
                ),
                "length_penalty": (0 <= self.length_penalty < math.inf, "0 or more"),
                "coverage_penalty": (0 <= self.coverage_penalty < math.inf, "0 or more"),
                "max_length": (1 <= self.max_length <= MAX_TOKENS, f"1 to {MAX_TOKENS}"),
                "min_length": (0 <= self.min_length <= self.max_length, f"between 0 and max_length, {self.max_length}"),
                "no_repeat_ngram": (self.no_repeat_ngram >= 0, "0 or more"),
                "temperature": (0 < self.temperature < math.inf, "above 0"),
                "top_k": (self.top_k >= 0, "0 or more"),
                "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
                "ctc_weight": (self.ctc_weight is None or 0 <= self.ctc_weight <= 1, "0 to 1"),
            },
        )

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        if self.sample:
            # The other settings of beam search count where samples are reranked: beam is their number.
            return {"coverage_penalty": "search.sample is set"}
        return dict.fromkeys(("temperature", "top_k", "top_p"), "search.sample is not set")


DEFAULTS = SearchConfig()


def unsupported_settings(config: SearchConfig) -> list[str]:
    """List the settings of a search, as they are set, that only a label-synchronous decoder can follow.

    Without EOS an empty sentence is always possible and scores are not divided by the length, so a ``length_penalty``
    of 0 and a ``min_length`` of 0 describe what frame-synchronous decoders do, and are accepted like the defaults.
    """
    has_no_effect = {
        "sample": config.sample,
        "temperature": config.temperature != DEFAULTS.temperature,
        "top_k": config.top_k != DEFAULTS.top_k,
        "top_p": config.top_p != DEFAULTS.top_p,
        "no_repeat_ngram": config.no_repeat_ngram != DEFAULTS.no_repeat_ngram,
        "coverage_penalty": config.coverage_penalty != DEFAULTS.coverage_penalty,
        "ctc_weight": config.ctc_weight is not None,
        "min_length": config.min_length > 1,
        "length_penalty": config.length_penalty not in (0.0, DEFAULTS.length_penalty),
    }
    return [name for name, is_unsupported in has_no_effect.items() if is_unsupported]
