"""The description of a task's inputs, with which a model is exported together with the script that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from encoders.base import SourceBatch


@dataclass(frozen=True)
class ExportedInput:
    """The inputs of an exported model.

    Attributes:
        script: The file in ``runtime/`` that turns an input into the arrays that the encoder takes.
        example: Two sources, the second one with padding if their lengths vary; the encoder is traced with them.
        settings: What the script needs to know, in JSON's types.
        packages: The packages that it needs, besides those of ``search.py``.
        arrays: Arrays that it needs, for features.npz.
        texts: Further files by their names.
    """

    script: str
    example: SourceBatch
    settings: Mapping[str, Any]
    packages: Sequence[str] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def example_mask(length: int) -> Bool[Tensor, "2 length"]:
    """Return the mask of two sources, the second one of half the length."""
    return torch.arange(length) < torch.tensor([[length], [length // 2]])
