"""Alignments of words, made from those of their tokens."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.common.text.words import WORD


def merge_subwords(tokens: Sequence[str], weights: Float[Tensor, "tokens ..."]) -> tuple[list[str], Tensor]:
    """Merge the tokens of each word, to show one row per word.

    Args:
        tokens: Tokens as ``Tokenizer.display_tokens`` returns them, with "·" for a space.
        weights: Attention weights of each token.

    Returns:
        The words, without "·", and the mean weights of their tokens: (words, ...). Punctuation is a word, and so is
        each character of a script without spaces.
    """
    words: list[str] = []
    rows: list[list[int]] = []
    for row, token in enumerate(tokens):
        if not words or token.startswith("·") or not WORD.fullmatch(words[-1] + token):
            words.append("")
            rows.append([])
        words[-1] += token.removeprefix("·")
        rows[-1].append(row)
    return words, torch.stack([weights[own].mean(dim=0) for own in rows])
