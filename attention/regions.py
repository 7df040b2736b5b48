"""Areas: where a query may look at all. Global attention needs none of them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.base import Region


class MonotonicRegion(Region):
    """Local monotonic attention (Tjandra et al. 2017): a window that moves on with every look, and never back.

    Its centre is where the last look was on average, plus exp(v . tanh(W q)) positions, so one at the start of
    training and whatever the query asks for later. A Gaussian whose deviation is half of ``width`` weighs the
    score down outside of it. As the Gaussian is added before the softmax, weights still sum to one.
    """

    sequential = True

    def __init__(self, query_dim: int, hidden_dim: int, width: int | float):
        super().__init__()
        self.deviation = width / 2
        self.query = nn.Linear(query_dim, hidden_dim)
        self.stride = nn.Linear(hidden_dim, 1, bias=False)

    def forward(
        self,
        queries: Float[Tensor, "batch queries query"],
        mask: Bool[Tensor, "batch source"],
        past: Float[Tensor, "batch queries 2 source"] | None,
    ) -> Float[Tensor, "batch queries source"]:
        positions = torch.arange(mask.size(1), device=mask.device, dtype=queries.dtype)
        stride = self.stride(torch.tanh(self.query(queries))).exp()  # (batch, queries, 1)
        before = -1.0 if past is None else past[:, :, 0] @ positions[:, None]
        last = mask.sum(dim=1)[:, None, None] - 1
        centre = torch.minimum(before + stride, last.to(queries.dtype))
        return -((positions - centre) ** 2) / (2 * self.deviation**2)
