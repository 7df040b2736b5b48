"""Score functions: the match of a query (decoder state) and a key (encoder state).

====================  =======================================  =============================
``dot``               q . k                                    Luong et al. 2015
``scaled_dot``        q . k / sqrt(d)                          Vaswani et al. 2017
``cosine``            t q . k / (‖q‖ ‖k‖), t learned           Graves et al. 2014
``general``           q W k (bilinear)                         Luong et al. 2015
``concat``            v . tanh(W [q; k])                       Luong et al. 2015
``additive``          v . tanh(W q + U k + b) (perceptron)     Bahdanau et al. 2015
``location``          v . tanh(W q + U k + V f + b)            Chorowski et al. 2015
``coverage``          v . tanh(W q + U k + w c + b)            See et al. 2017
====================  =======================================  =============================

Dot, scaled dot and cosine need vectors of the same size. Where query and memory differ, the memory is first projected
to the size of the query, by a matrix without a bias.

A new score needs a class, its name in ``attention.config.ScoreName`` and a case in ``build_score``; and
``HIDDEN_LAYER_SCORES`` and ``segment_score_name`` if they concern it.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from attention.config import ScoreName
from attention.scored import Score
from attention.state import AttentionState
from attention.weighted_tanh import weigh_tanh

Queries = Float[Tensor, "batch queries query_dim"]
Keys = Float[Tensor, "batch source key_dim"]
States = Float[Tensor, "batch source dim"]
Scores = Float[Tensor, "batch queries source"]
Hidden = Float[Tensor, "batch queries source hidden"]


class Dot(Score):
    """q . k"""

    def __init__(self, query_dim: int, memory_dim: int):
        super().__init__()
        is_same = query_dim == memory_dim
        self.key = nn.Identity() if is_same else nn.Linear(memory_dim, query_dim, bias=False)

    def project_keys(self, states: States) -> Keys:
        return self.key(states)

    def forward(self, queries: Queries, keys: Keys, state: AttentionState) -> Scores:
        return queries @ keys.mT


class ScaledDot(Dot):
    """q . k / sqrt(d). The scale keeps the softmax from saturating where d, the number of features, is large."""

    def forward(self, queries: Queries, keys: Keys, state: AttentionState) -> Scores:
        return super().forward(queries / math.sqrt(queries.size(-1)), keys, state)


class Cosine(Dot):
    """t q . k / (‖q‖ ‖k‖). The learned t sharpens the softmax, which would be too flat over [-1, 1]."""

    def __init__(self, query_dim: int, memory_dim: int):
        super().__init__(query_dim, memory_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def project_keys(self, states: States) -> Keys:
        return functional.normalize(super().project_keys(states), dim=-1)

    def forward(self, queries: Queries, keys: Keys, state: AttentionState) -> Scores:
        return super().forward(functional.normalize(queries, dim=-1) * self.log_scale.exp(), keys, state)


class General(Score):
    """q W k. W is applied to the memory, once for a sentence instead of at each step."""

    def __init__(self, query_dim: int, memory_dim: int):
        super().__init__()
        self.weight = nn.Linear(memory_dim, query_dim, bias=False)

    def project_keys(self, states: States) -> Keys:
        return self.weight(states)

    def forward(self, queries: Queries, keys: Keys, state: AttentionState) -> Scores:
        return queries @ keys.mT


class Additive(Score):
    """v . tanh(W q + U k + b): a perceptron with one layer of ``hidden_dim`` units."""

    def __init__(self, query_dim: int, memory_dim: int, hidden_dim: int):
        super().__init__()
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.key = nn.Linear(memory_dim, hidden_dim)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def project_keys(self, states: States) -> Keys:
        return self.key(states)

    def forward(self, queries: Queries, keys: Keys, state: AttentionState) -> Scores:
        hidden = self.query(queries)[:, :, None] + keys[:, None]
        return weigh_tanh(self.add_history(hidden, state), self.v.weight)

    def add_history(self, hidden: Hidden, state: AttentionState) -> Hidden:
        """Add what the earlier weights contribute to the hidden units, in their precision."""
        return hidden


class LocationSensitive(Additive):
    """v . tanh(W q + U k + V f + b), with location features f = F * [last weights; total weights].

    Repeated sounds have similar states, and only the earlier alignment tells which of them has been transcribed. The
    features are ``num_filters`` convolutions of ``kernel_size`` positions over the weights of the last step and, as in
    Tacotron 2 (Shen et al. 2018), over the sum of all earlier weights.
    """

    is_sequential = True

    def __init__(
        self, query_dim: int, memory_dim: int, hidden_dim: int, *, num_filters: int = 10, kernel_size: int = 31
    ):
        """``kernel_size`` must be odd."""
        super().__init__(query_dim, memory_dim, hidden_dim)
        self.filters = nn.Conv1d(2, num_filters, kernel_size, padding=kernel_size // 2, bias=False)
        self.location = nn.Linear(num_filters, hidden_dim, bias=False)

    def add_history(self, hidden: Hidden, state: AttentionState) -> Hidden:
        assert state.weights is not None
        features = self.filters(state.weights.flatten(0, 1).to(hidden.dtype)).mT  # (batch * queries, source, filters)
        weight = self.location.weight.T.expand(features.size(0), -1, -1)
        return torch.baddbmm(hidden.flatten(0, 1), features, weight).view(hidden.shape)  # without the product in memory


class Coverage(Additive):
    """v . tanh(W q + U k + w c + b), where c is the sum of all earlier weights of the state.

    A score that knows how much a state has been attended to can turn to others, and need not repeat itself. The
    coverage loss (losses.py) teaches it to: See et al. add it in a short second phase of training.
    """

    is_sequential = True

    def __init__(self, query_dim: int, memory_dim: int, hidden_dim: int):
        super().__init__(query_dim, memory_dim, hidden_dim)
        self.coverage = nn.Linear(1, hidden_dim, bias=False)

    def add_history(self, hidden: Hidden, state: AttentionState) -> Hidden:
        coverage = state.total_weights.to(hidden.dtype)[..., None]
        return torch.addcmul(hidden, coverage, self.coverage.weight[:, 0].to(hidden.dtype))


class Concat(Score):
    """v . tanh(W [q; k]), without a bias.

    W is one parameter, as published, and applied in its two halves, W [q; k] = W_q q + W_k k, so that the memory is
    multiplied once for a sentence.
    """

    def __init__(self, query_dim: int, memory_dim: int, hidden_dim: int):
        super().__init__()
        self.query_dim = query_dim
        self.proj = nn.Linear(query_dim + memory_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def project_keys(self, states: States) -> Keys:
        return functional.linear(states, self.proj.weight[:, self.query_dim :])

    def forward(self, queries: Queries, keys: Keys, state: AttentionState) -> Scores:
        projected = functional.linear(queries, self.proj.weight[:, : self.query_dim])
        return weigh_tanh(projected[:, :, None] + keys[:, None], self.v.weight)


def build_score(name: ScoreName, query_dim: int, memory_dim: int, hidden_dim: int) -> Score:
    """Build the score called ``name``.

    Args:
        name: One of ``ScoreName``.
        query_dim: Features of the queries.
        memory_dim: Features of the memory.
        hidden_dim: Hidden units, for ``HIDDEN_LAYER_SCORES``.
    """
    match name:
        case "dot":
            return Dot(query_dim, memory_dim)
        case "scaled_dot":
            return ScaledDot(query_dim, memory_dim)
        case "cosine":
            return Cosine(query_dim, memory_dim)
        case "general":
            return General(query_dim, memory_dim)
        case "concat":
            return Concat(query_dim, memory_dim, hidden_dim)
        case "additive":
            return Additive(query_dim, memory_dim, hidden_dim)
        case "location":
            return LocationSensitive(query_dim, memory_dim, hidden_dim)
        case "coverage":
            return Coverage(query_dim, memory_dim, hidden_dim)


def segment_score_name(name: ScoreName) -> ScoreName:
    """Return the score of segments where states have the score ``name``.

    The scores location and coverage need earlier weights, which segments do not have; without them they are additive.
    """
    return "additive" if name in ("location", "coverage") else name
