"""The keys of encoders whose states are larger than those of a recurrent network."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SCALE = 0.25  # about the root mean square of an LSTM's states at the start of training


def scaled_keys(states: Float[Tensor, "batch source dim"]) -> Float[Tensor, "batch source dim"]:
    """Normalize each state (layer normalization, Ba et al. 2016) to the scale of a recurrent network's states.

    Scores that are sums of products, dot and general, grow with the scale of both sides. With keys several times as
    large as a recurrent encoder's the softmax is saturated before anything is learned: attention looks at one position,
    whatever the query. The states themselves, of which the context is a mean, keep their scale, since small ones slow
    learning from pixels down. A Transformer's states are left alone: it is meant for scaled dot products, which do not
    saturate, and which learn later with small keys (docs/log.md).
    """
    return SCALE * functional.layer_norm(states, states.shape[-1:])
