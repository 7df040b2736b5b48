"""Hard attention (Xu et al. 2015): attention to one sampled position, and two estimators of its gradient.

Sampling has no gradient, and only the sampled position is evaluated. REINFORCE makes samples likelier that were
followed by a better sentence than expected: unbiased, with high variance. Gumbel-softmax samples by adding noise to the
scores, and backpropagates through the softmax of the same sum: biased, with low variance. In evaluation both choose the
most probable position.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.scored import Selector
from attention.state import SampleInfo

Scores = Float[Tensor, "batch queries source"]
Weights = Float[Tensor, "batch queries source"]


class CategoricalSelector(Selector):
    """Samples from the softmax; :class:`ReinforceLoss` trains it."""

    def forward(self, scores: Scores) -> tuple[Weights, SampleInfo | None]:
        if not self.training:
            return one_hot(scores.argmax(dim=-1, keepdim=True), scores), None
        log_probs = scores.log_softmax(dim=-1)
        probs = log_probs.exp()
        index = probs.detach().flatten(0, 1).multinomial(1).unflatten(0, scores.shape[:2])
        information = -log_probs.masked_fill(log_probs.isneginf(), 0.0)  # 0 times -inf would be NaN
        sample = SampleInfo(log_probs.gather(-1, index).squeeze(-1), (probs * information).sum(dim=-1))
        return one_hot(index, scores), sample


class GumbelSelector(Selector):
    """Straight-through Gumbel-softmax (Jang et al. 2017, Maddison et al. 2017)."""

    def __init__(self, temperature: int | float = 1.0):
        """``temperature`` of the softmax in the backward pass: lower is less biased, with more variance."""
        super().__init__()
        self.temperature = temperature

    def forward(self, scores: Scores) -> tuple[Weights, SampleInfo | None]:
        if not self.training:
            return one_hot(scores.argmax(dim=-1, keepdim=True), scores), None
        return functional.gumbel_softmax(scores, tau=self.temperature, hard=True), None


def one_hot(index: Int[Tensor, "batch queries 1"], scores: Scores) -> Weights:
    """Return weights in the shape of ``scores``: one at each query's ``index``, zero elsewhere."""
    return torch.zeros_like(scores).scatter_(-1, index, 1.0)


class ReinforceLoss(nn.Module):
    """REINFORCE for sampled positions (Williams 1992, Xu et al. 2015).

    The reward of a sample is the log-likelihood of all that it could change: its own token, and also the later ones
    where contexts are fed back into the decoder. A baseline, the moving average of a token's log-likelihood, reduces
    the variance and leaves the expected gradient unchanged. An entropy term delays convergence to one position.
    """

    baseline: Tensor  # moving average of a token's log-likelihood

    def __init__(self, *, entropy_weight: int | float, momentum: float = 0.9):
        """Set up the loss.

        Args:
            entropy_weight: Weight of the entropy of the sampling distributions.
            momentum: Share of the old value in an update of the baseline.
        """
        super().__init__()
        self.entropy_weight = entropy_weight
        self.momentum = momentum
        self.register_buffer("baseline", torch.zeros(()))

    def forward(
        self,
        token_log_probs: Float[Tensor, "batch target"],
        sample: SampleInfo,
        mask: Bool[Tensor, "batch target"],
        *,
        affects_future: bool,
    ) -> Float[Tensor, ""]:
        """Compute a loss whose gradient is that of the samples, and whose value is zero.

        Args:
            token_log_probs: The log-probabilities of the target tokens.
            sample: The samples, one for each token.
            mask: True for real tokens, over which the loss is summed.
            affects_future: A sample also changes the probabilities of later tokens.
        """
        excess = ((token_log_probs.detach() - self.baseline) * mask).to(sample.log_prob.dtype)
        reward = excess.flip(1).cumsum(dim=1).flip(1) if affects_future else excess
        if self.training:
            mean = (token_log_probs.detach() * mask).sum() / mask.sum().clamp(min=1)
            self.baseline.lerp_(mean.to(self.baseline.dtype), 1 - self.momentum)
        loss = -((reward * sample.log_prob + self.entropy_weight * sample.entropy) * mask).sum()
        return loss - loss.detach()
