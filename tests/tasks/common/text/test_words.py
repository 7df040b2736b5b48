"""Words of texts in any script."""

import pytest

from tasks.common.text.words import display_words, first_words, join_words, ngrams, split_words


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Don't panic, it's 3.5!", ["don", "t", "panic", "it", "s", "3", "5"]),
        ("Größere snake_case ÉTÉ", ["größere", "snake", "case", "été"]),
        ("你好world，再见", ["你", "好", "world", "再", "见"]),
        ("ดี ok", ["ดี", "ok"]),
        ("की कि नमस्ते", ["की", "कि", "नमस्ते"]),
        ("كِتاب", ["كِتاب"]),
        ("ﬁne １２", ["fine", "12"]),
        ("…!?", []),
    ],
)
def test_words_are_found_in_every_script(text, expected):
    assert split_words(text) == expected


@pytest.mark.parametrize(
    "text, count, expected",
    [("A cat, a dog.", 3, "A cat, a"), ("今天下雨", 2, "今天"), ("one", 5, "one"), ("one", 0, "")],
)
def test_the_first_words_end_where_a_word_ends(text, count, expected):
    assert first_words(text, count) == expected


def test_ngrams_are_in_the_order_of_the_text():
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []


@pytest.mark.parametrize(
    "text, words",
    [
        ("Don't panic, it's 3.5!", ["Don't", "panic,", "it's", "3.5!"]),
        ("你好，世界。", ["你", "好，", "世", "界。"]),
        ("用Python写", ["用", "Python", "写"]),
        ("", []),
    ],
)
def test_words_are_shown_with_their_punctuation_and_joined_again(text, words):
    assert display_words(text) == words
    assert join_words(words) == text
