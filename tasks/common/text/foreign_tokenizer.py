"""Tokenizers of pretrained models as a run folder describes them: what they may make of a text, and of memory."""

from collections.abc import Iterator
from typing import Any

from tasks.common.data.limits import MAX_GROWTH, MAX_TOKEN_ID
from tasks.common.errors import UsageError


def check_tokenizer(state: dict[str, Any]) -> None:
    """Check a tokenizer in the form of tokenizer.json before it is built.

    Raises:
        UsageError: its ids need tables beyond ``MAX_TOKEN_ID``, or its replacements make a text more than
            ``MAX_GROWTH`` times as long.
    """
    vocabulary = state["model"]["vocab"]
    ids = vocabulary.values() if isinstance(vocabulary, dict) else [len(vocabulary)]
    largest = max([*ids, *(token["id"] for token in state["added_tokens"])], default=0)
    if largest > MAX_TOKEN_ID:
        raise UsageError(f"its tokenizer has a token with the id {largest:,}; allowed are ids up to {MAX_TOKEN_ID:,}")
    growth = 1.0
    for factor in growth_factors(state["normalizer"]):
        growth *= factor
    if growth > MAX_GROWTH:
        raise UsageError(
            f"its tokenizer makes texts up to {growth:,.0f} times as long by its replacements; allowed is {MAX_GROWTH}"
        )


def growth_factors(normalizer: dict[str, Any] | None) -> Iterator[float]:
    """Find how much longer each step of a normalizer can make a text."""
    if normalizer is None:
        return
    for inner in normalizer.get("normalizers", ()):
        yield from growth_factors(inner)
    if normalizer["type"] == "Prepend":
        yield 1.0 + len(normalizer["prepend"])
    if normalizer["type"] == "Replace":
        # A pattern may match a single character, and an empty text is found between any two.
        replaced = len(normalizer["pattern"].get("String", "?"))
        yield max(1.0, len(normalizer["content"]) / replaced if replaced else 1.0 + len(normalizer["content"]))
