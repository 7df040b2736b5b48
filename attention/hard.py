"""Hard attention: a look at one position, drawn from the softmax, and the two ways to learn to draw (Xu et al. 2015).

What a position is worth is known only for the one that was drawn, and a draw has no gradient. REINFORCE makes those
draws more probable after which the sentence went better than expected: unbiased, and noisy. Gumbel-softmax draws by
adding noise to the energies, and sends the gradient through the softmax of the same sum: biased, and smooth.
Without training both take the most probable position.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from attention.base import SampleInfo
from attention.scored import Selector

Energies = Float[Tensor, "batch queries source"]
Weights = Float[Tensor, "batch queries source"]


class CategoricalSelector(Selector):
    """Draws by the probabilities themselves; :class:`ReinforceLoss` is what learns from it."""

    def forward(self, energies: Energies) -> tuple[Weights, SampleInfo | None]:
        if not self.training:
            return one_hot(energies.argmax(dim=-1, keepdim=True), energies), None
        logarithms = energies.log_softmax(dim=-1)
        probabilities = logarithms.exp()
        place = probabilities.detach().flatten(0, 1).multinomial(1).unflatten(0, energies.shape[:2])
        surprise = -logarithms.masked_fill(logarithms.isneginf(), 0.0)
        sample = SampleInfo(logarithms.gather(-1, place).squeeze(-1), (probabilities * surprise).sum(dim=-1))
        return one_hot(place, energies), sample


class GumbelSelector(Selector):
    """Straight-through Gumbel-softmax (Jang et al. 2017, Maddison et al. 2017).

    ``temperature`` of the softmax that stands for the draw in the backward pass: low is near the draw, and noisy.
    """

    def __init__(self, temperature: int | float = 1.0):
        super().__init__()
        self.temperature = temperature

    def forward(self, energies: Energies) -> tuple[Weights, SampleInfo | None]:
        if not self.training:
            return one_hot(energies.argmax(dim=-1, keepdim=True), energies), None
        return functional.gumbel_softmax(energies, tau=self.temperature, hard=True), None


def one_hot(place: Tensor, energies: Energies) -> Weights:
    """One at each query's ``place`` (batch, queries, 1), zero elsewhere."""
    return torch.zeros_like(energies).scatter_(-1, place, 1.0)


class ReinforceLoss(nn.Module):
    """What draws of positions are answerable for, as a loss (Williams 1992, Xu et al. 2015).

    A draw's reward is the log-likelihood of what it could change: of its own word, and of all later ones where contexts
    are fed back into the decoder. From it is taken what was to be expected, a moving average of a word's
    log-likelihood, which changes no expected gradient. An entropy term keeps the draws from settling too early.
    """

    baseline: Tensor  # of a word's log-likelihood

    def __init__(self, *, entropy: int | float, momentum: float = 0.9):
        super().__init__()
        self.entropy = entropy
        self.momentum = momentum
        self.register_buffer("baseline", torch.zeros(()))

    def forward(
        self,
        token_log_probs: Float[Tensor, "batch target"],
        sample: SampleInfo,
        real: Bool[Tensor, "batch target"],
        *,
        affects_future: bool,
    ) -> Float[Tensor, ""]:
        """A term whose gradient is that of the draws, summed over real words, and whose value is zero.

        ``token_log_probs``: the words' log-likelihoods. ``affects_future``: a draw also changes what is written after it.
        """
        excess = ((token_log_probs.detach() - self.baseline) * real).to(sample.log_prob.dtype)
        reward = excess.flip(1).cumsum(dim=1).flip(1) if affects_future else excess
        if self.training:
            mean = (token_log_probs.detach() * real).sum() / real.sum().clamp(min=1)
            self.baseline.lerp_(mean.to(self.baseline.dtype), 1 - self.momentum)
        loss = -((reward * sample.log_prob + self.entropy * sample.entropy) * real).sum()
        return loss - loss.detach()
