"""Normalization of texts."""

import pytest

from tasks.common.text.normalization import normalize_text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", "“Well – don't,” said Ångström's  ﬁrst"),
        ("lowercase", "“well – don't,” said ångström's first"),
        ("no_punctuation", "well don't said ångström's first"),
    ],
)
def test_each_kind_removes_more(kind, expected):
    assert normalize_text("  “Well – don't,” said\tÅngström's  ﬁrst ", kind) == " ".join(expected.split())


def test_no_punctuation_splits_words_at_hyphens_and_keeps_letters_of_every_script():
    assert normalize_text("Groß-Gerau, ÄÖÜ; don’t_stop 你好。", "no_punctuation") == "groß gerau äöü don't stop 你好"


def test_normalizing_twice_changes_nothing():
    once = normalize_text("It's 'quoted' — O’Neill’s!", "no_punctuation")
    assert once == "it's quoted o'neill's"
    assert normalize_text(once, "no_punctuation") == once
