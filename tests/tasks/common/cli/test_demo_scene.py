"""The demo's overview shows words, not subwords, and of them those that an image can show."""

import torch

from tasks.common.cli.demo_scene import FUNCTION_WORDS, without


def test_function_words_are_left_out_unless_there_is_nothing_else():
    weights = torch.eye(3)
    words, shown = without(FUNCTION_WORDS, ["A", "red", "two"], weights)
    assert words == ["red", "two"] and torch.equal(shown, weights[1:])
    words, shown = without(FUNCTION_WORDS, ["a", "the", "."], weights)
    assert words == ["a", "the", "."] and torch.equal(shown, weights)
