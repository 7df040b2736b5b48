"""What training may ask of attention beside the right words."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from attention.doubly_stochastic import doubly_stochastic_loss
from attention.guided import guided_attention_loss
from attention.repetition import coverage_loss


@dataclass(frozen=True)
class AttentionLossWeights:
    """Weights of the losses: ``guidance`` towards the diagonal (Tachibana et al. 2018), ``doubly_stochastic`` towards
    the whole source (Xu et al. 2015), ``coverage`` away from what was looked at before (See et al. 2017)."""

    guidance: float = 0.0
    doubly_stochastic: float = 0.0
    coverage: float = 0.0

    def __call__(
        self,
        weights: Float[Tensor, "batch target source"],
        targets: Bool[Tensor, "batch target"],
        sources: Bool[Tensor, "batch source"],
    ) -> Float[Tensor, ""]:
        """Their weighted sum over the real targets; zero if none has a weight."""
        loss = weights.new_zeros(())
        if self.guidance:
            loss = loss + self.guidance * guided_attention_loss(weights, targets, sources)
        if self.doubly_stochastic:
            loss = loss + self.doubly_stochastic * doubly_stochastic_loss(weights, targets, sources)
        if self.coverage:
            loss = loss + self.coverage * coverage_loss(weights, targets)
        return loss


NO_ATTENTION_LOSSES = AttentionLossWeights()
