"""The real positions of a padded batch on one axis, so that nothing is computed for its padding."""

from jaxtyping import Bool, Int
from torch import Tensor


def real_positions(mask: Bool[Tensor, "*shape"], count: int | None = None) -> Int[Tensor, " real"]:
    """Return the positions at which a mask is True, counted along the flattened mask.

    Args:
        mask: True for what is real.
        count: The number of these positions, where it is known. Otherwise a program that computes on a GPU has to wait
            for it.
    """
    flat = mask.flatten()
    if count is None or flat.device.type == "mps":  # Apple's GPUs lack nonzero_static
        return flat.nonzero().squeeze(1)
    return flat.nonzero_static(size=count).squeeze(1)
