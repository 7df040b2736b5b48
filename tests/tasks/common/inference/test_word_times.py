"""Words with times: which tokens make a word, and where it begins and ends given the states that it was read from."""

import pytest

from tasks.common.inference.word_times import Word, group_tokens, spread_words, time_words
from tasks.common.text.config import VocabularyConfig
from tasks.common.text.tokenizer import Tokenizer

TEXTS = ["bin blue at f two now", "set white by o nine please", "你好 world, ok"] * 3


def times(words: list[Word]) -> list[tuple[float, float]]:
    return [(round(word.start, 3), round(word.end, 3)) for word in words]


@pytest.mark.parametrize(
    "kind, size", [("word", 100), ("character", 100), ("bpe", 300), ("byte", 300), ("unigram", 310)]
)
def test_tokens_of_every_kind_are_grouped_to_words(kind, size):
    tokenizer = Tokenizer.train(TEXTS, VocabularyConfig(kind=kind, size=size, min_frequency=1))
    for text, expected in ((TEXTS[0], TEXTS[0].split()), (TEXTS[2], ["你", "好", "world,", "ok"])):
        (tokens,) = tokenizer.encode([text])
        words, groups = group_tokens(tokens, tokenizer.decode)
        if len(words) == len(expected):  # no token spells two words
            assert words == expected
        assert "".join(words) == "".join(expected)
        found = [group for group in groups if group >= 0]
        assert found == sorted(found) and set(found) == set(range(len(words)))
        for number, word in enumerate(words):
            own = [token for token, group in zip(tokens, groups, strict=True) if group == number]
            assert tokenizer.decode(own).replace(" ", "") == word.replace(" ", "")


def test_a_space_that_is_a_token_is_of_no_word():
    tokenizer = Tokenizer.train(TEXTS, VocabularyConfig(kind="character", size=100, min_frequency=1))
    (tokens,) = tokenizer.encode(["at f"])
    words, groups = group_tokens(tokens, tokenizer.decode)
    assert words == ["at", "f"]
    assert groups == [-1, 0, 0, -1, 1]
    assert group_tokens([], tokenizer.decode) == ([], [])


def test_words_meet_in_the_middle_between_their_states():
    found = time_words(["a", "b", "c"], [[1, 2], [4, 5], [6, 8]], 10, (2.0, 3.0))
    assert times(found) == [(2.0, 2.3), (2.3, 2.55), (2.55, 2.925)]
    assert [word.text for word in found] == ["a", "b", "c"]


def test_words_share_a_state_that_both_were_read_from():
    found = time_words(["a", "b"], [[0, 1], [0, 4]], 4, (0.0, 4.0))
    assert times(found) == [(0.0, 0.5), (0.5, 3.5)]


def test_a_pause_is_of_no_word():
    spans = [[0, 2], [2, 4], [4, 6], [26, 28], [28, 30]]
    found = time_words(list("abcde"), spans, 60, (0.0, 60.0))
    assert times(found) == [(0.0, 2.0), (2.0, 4.0), (4.0, 8.0), (24.0, 28.0), (28.0, 31.0)]


def test_a_word_that_was_read_until_the_next_one_is_no_longer_than_three():
    found = time_words(list("abcd"), [[0, 2], [2, 4], [4, 30], [30, 32]], 40, (0.0, 40.0))
    assert times(found)[2] == (4.0, 10.0)


def test_words_without_states_are_spread_by_their_length():
    expected = [Word("a", 1.0, 2.0), Word("abc", 2.0, 4.0)]
    assert spread_words(["a", "abc"], (1.0, 4.0)) == expected
    assert time_words(["a", "abc"], [[-1, -1], [-1, -1]], 1, (1.0, 4.0)) == expected
    assert time_words([], [], 3, (0.0, 1.0)) == spread_words([], (0.0, 1.0)) == []
