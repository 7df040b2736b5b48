"""Settings of attention: score, locality, selection, hierarchy and heads are independent of each other."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from attention.validation import at_least, check_settings

ScoreName = Literal["dot", "scaled_dot", "cosine", "general", "concat", "additive", "location", "coverage"]
HIDDEN_LAYER_SCORES: tuple[ScoreName, ...] = ("concat", "additive", "location", "coverage")  # with ``hidden_dim`` units
LocalityName = Literal["local_m", "local_p", "monotonic"]
PositionName = Literal["sinusoidal", "learned", "rotary"]


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Settings of the attention to the source (cross-attention), built by ``attention.build``."""

    score: ScoreName | Literal["none"] = "additive"
    """Score of query q and key k: dot q·k, scaled_dot q·k/√d, cosine, general qWk, concat v·tanh(W[q;k]), additive
    v·tanh(Wq+Uk); location is additive with the previous weights as a further input (Chorowski et al. 2015); coverage
    with the sum of all earlier weights (See et al. 2017); none is a fixed context vector without attention."""
    locality: LocalityName | Literal["global"] = "global"
    """Source positions that can be attended to: all (global); a window around the position of the target token
    (local_m) or around a predicted position (local_p, both Luong et al. 2015); a window that only moves forward
    (monotonic, the local monotonic attention of Tjandra et al. 2017)."""
    window_size: float = 10.0
    """Half-width of a local window in encoder states; twice the standard deviation of its Gaussian."""
    selection: Literal["soft", "hard"] = "soft"
    """Weighted mean of all states (soft), or a single sampled state (hard, Xu et al. 2015)."""
    estimator: Literal["reinforce", "gumbel"] = "reinforce"
    """Gradient of hard attention: REINFORCE with a baseline, or straight-through Gumbel-softmax."""
    entropy_weight: float = 0.1
    """Weight of the entropy of the sampling distribution, with REINFORCE."""
    gumbel_temperature: float = 1.0
    """Temperature of the Gumbel-softmax."""
    hierarchy: Literal["flat", "hierarchical"] = "flat"
    """Attention over states, or over segments first and then over the states inside them."""
    segment_size: int = 0
    """States in a segment; 0: the encoder's own segments (image rows, video frames, sentences), and 8 states where it
    has none."""
    num_heads: int = 1
    hidden_dim: int = 512
    """Hidden units of the perceptron in additive, concat, location and coverage attention."""
    guidance_weight: float = 0.0
    """Weight of the guided attention loss, which favors a diagonal alignment (Tachibana et al. 2018)."""
    doubly_stochastic_weight: float = 0.0
    """Weight of the doubly stochastic loss: every source position receives a total weight of one (Xu et al. 2015)."""
    coverage_weight: float = 0.0
    """Weight of the coverage loss, which penalizes attending to the same position again (See et al. 2017)."""

    def __post_init__(self):
        loss_weights = "guidance_weight", "doubly_stochastic_weight", "coverage_weight"
        allowed = at_least(1, self, "num_heads", "hidden_dim")
        allowed |= at_least(0, self, "entropy_weight", "segment_size", *loss_weights)
        allowed["window_size"] = (0 < self.window_size < math.inf, "above 0")
        allowed["gumbel_temperature"] = (0 < self.gumbel_temperature < math.inf, "above 0")
        check_settings("attention", self, allowed)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        if self.score == "none":
            others = (field.name for field in dataclasses.fields(self) if field.name != "score")
            return dict.fromkeys(others, "attention.score is none")
        unused: dict[str, str] = {}
        if self.locality == "global":
            unused["window_size"] = "attention.locality is global"
        if self.selection == "soft":
            unused |= dict.fromkeys(
                ("estimator", "entropy_weight", "gumbel_temperature"), "attention.selection is soft"
            )
        elif self.estimator == "reinforce":
            unused["gumbel_temperature"] = "attention.estimator is reinforce"
        else:
            unused["entropy_weight"] = "attention.estimator is gumbel"
        if self.hierarchy == "flat":
            unused["segment_size"] = "attention.hierarchy is flat"
        if self.score not in HIDDEN_LAYER_SCORES and self.locality not in ("local_p", "monotonic"):
            unused["hidden_dim"] = f"attention.score is {self.score} and attention.locality is {self.locality}"
        return unused
