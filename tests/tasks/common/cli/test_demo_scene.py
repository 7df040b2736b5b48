"""The demo's overview shows words, not subwords, and of them those that an image can show."""

import torch
from torch.testing import assert_close

from tasks.common.cli.demo_scene import FUNCTION_WORDS, merge_subwords, without


def test_the_weights_of_a_word_are_the_mean_of_its_tokens():
    tokens = ["·a", "·gr", "een", "·two", ".", "</s>"]
    weights = torch.arange(12.0).reshape(6, 2)
    words, merged = merge_subwords(tokens, weights)
    assert words == ["a", "green", "two", ".", "</s>"]
    assert_close(merged, torch.stack([weights[0], weights[1:3].mean(dim=0), *weights[3:]]))


def test_function_words_are_left_out_unless_there_is_nothing_else():
    weights = torch.eye(3)
    words, shown = without(FUNCTION_WORDS, ["A", "red", "two"], weights)
    assert words == ["red", "two"] and torch.equal(shown, weights[1:])
    words, shown = without(FUNCTION_WORDS, ["a", "the", "."], weights)
    assert words == ["a", "the", "."] and torch.equal(shown, weights)
