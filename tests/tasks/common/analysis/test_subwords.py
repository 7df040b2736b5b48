import torch
from torch.testing import assert_close

from tasks.common.analysis.subwords import merge_subwords


def test_the_weights_of_a_word_are_the_mean_of_its_tokens():
    tokens = ["·a", "·gr", "een", "·two", ".", "</s>"]
    weights = torch.arange(12.0).reshape(6, 2)
    words, merged = merge_subwords(tokens, weights)
    assert words == ["a", "green", "two", ".", "</s>"]
    assert_close(merged, torch.stack([weights[0], weights[1:3].mean(dim=0), *weights[3:]]))


def test_a_character_of_a_script_without_spaces_is_a_word():
    words, merged = merge_subwords(["春", "风", "，", "x"], torch.eye(4))
    assert words == ["春", "风", "，", "x"] and torch.equal(merged, torch.eye(4))
