"""Tokenizers: text survives the way to tokens and back, and the configuration holds."""

import json
import random
import time
import unicodedata

import datasets
import pytest
import torch
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from decoders.base import BOS, EOS, PAD, UNK
from encoders.config import RecurrentEncoderConfig
from tasks.common.errors import UsageError
from tasks.common.text.config import SPECIAL, VocabularyConfig
from tasks.common.text.tokenizer import Tokenizer, add_bos_eos, pad_ids
from tasks.common.text_config import TextEncoderConfig
from tasks.translation import Config
from tasks.translation.task import Translation as Task

GERMAN = "Die großen Straßen sind über Nacht schön weiß geworden."
FRENCH = "« Où est-ce qu'il a garé l'œuvre, ce garçon ? » demande Zoë."
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy, neboť měl hlad."
CHINESE = "我们看到一个小的红色的七，在两个蓝色的二上面。"
ENGLISH = "a small red seven stands above a large blue two, doesn't it?"
CORPUS = [GERMAN, FRENCH, CZECH, CHINESE, ENGLISH] * 4
SUBWORDS = ("bpe", "unigram")
KINDS = (*SUBWORDS, "word", "character")

NASTY = [
    *(GERMAN, FRENCH, CZECH, CHINESE, ENGLISH),
    *("</s>", "a </s> b", "<s></s><pad><unk>", "<unk> <0x41>", "<0x41>", "<0xE6><0x88><0x91>", "<0x4", "[UNK] ##ing"),
    *("two  spaces", "three   of   them", "a\u00a0no-break space", "a\u3000wide space", "tab\there", "a\r\nline"),
    *("😀", "👩‍👩‍👧‍👦 family", "🇩🇪→🇨🇳", "e\u0301 beside \u00e9", "\u200bzero width", "\ufeffmark", "a\u2028b\u2029c"),
    *("...", "?!?!", "--- — –", "“quoted” ‘it’", "$ 3,000.50 (50 %)", "a_b-c/d\\e", "^`~|+=<>", "x²+y³≠½"),
    *("Schifffahrtsgesellschaft", "AaAaAA", "ÀÉÎÕÜ", "Ελληνικά", "русский"),
    *("日本語とカタカナ", "한국어", "ไทย", "עברית", "हिन्दी"),
    *("𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "\x01\x7f", "\U0010ffff", "x", "."),
]


def random_strings(count: int) -> list[str]:
    """Make strings of characters of any plane, with many spaces; without the space mark, surrogates, outer spaces."""
    generator = random.Random("strings")
    planes = [(0x20, 0x7F), (0xA0, 0x250), (0x4E00, 0x9FFF), (0x1F300, 0x1F700), (0, 0x110000), (0x20, 0x21)]
    strings = []
    while len(strings) < count:
        points = [generator.randrange(*generator.choice(planes)) for _ in range(generator.randrange(1, 25))]
        text = "".join(chr(point) for point in points if point != 0x2581 and not 0xD800 <= point < 0xE000).strip()
        strings += [text] if text else []
    return strings


def train(kind: str, texts: list[str] = CORPUS, **settings) -> Tokenizer:
    return Tokenizer.train(texts, VocabularyConfig(kind=kind, **{"size": 400, **settings}))


def round_trip(tokenizer: Tokenizer, texts: list[str], dropout: float = 0.0) -> list[str]:
    return [tokenizer.decode(ids) for ids in tokenizer.encode(texts, dropout)]


# ── Subwords lose nothing ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize("text", NASTY)
def test_subwords_restore_any_text(kind, text):
    assert round_trip(train(kind), [text]) == [text]


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_restore_random_text(kind):
    texts = random_strings(1000)
    assert round_trip(train(kind), texts) == texts


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_never_give_special_tokens_even_for_text_that_looks_like_them(kind):
    ids = {token for sentence in train(kind).encode([*NASTY, *random_strings(100)]) for token in sentence}
    assert ids.isdisjoint({PAD, UNK, BOS, EOS})


@pytest.mark.parametrize("kind", SUBWORDS)
def test_an_empty_text_has_no_tokens(kind):
    tokenizer = train(kind)
    assert tokenizer.encode([""]) == [[]]
    assert tokenizer.decode([]) == ""


def test_frequent_words_are_one_token_and_rare_ones_several():
    tokenizer = train("bpe", ["the lowest newest widest"] * 5 + ["owl"], size=600)
    frequent, rare = tokenizer.encode(["newest", "wolf"])
    assert len(frequent) == 1
    assert len(rare) > 1


# ── Words and characters ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["word", "character"])
def test_training_text_is_restored(kind):
    assert round_trip(train(kind, min_frequency=1), CORPUS) == CORPUS


def test_words_are_split_at_spaces_and_punctuation_and_chinese_at_every_character():
    tokenizer = train("word", ["the dog, the cat.", "我们看到 the dog"], min_frequency=1)
    assert tokenizer.display_tokens(tokenizer.encode(["the cat, 我们"])[0]) == ["·the", "·cat", ",", "·", "我", "们"]


def test_characters_are_split_everywhere():
    tokenizer = train("character", ["abc 我们"], min_frequency=1)
    assert tokenizer.display_tokens(tokenizer.encode(["ab 们"])[0]) == [*"·ab·们"]


@pytest.mark.parametrize("kind, text, count", [("word", "the zebra", 1), ("character", "zoo", 1)])
def test_unseen_words_and_characters_are_unknown(kind, text, count):
    tokenizer = train(kind, ["the dog chased four cats"], min_frequency=1)
    assert tokenizer.encode([text])[0].count(UNK) == count


def test_words_that_look_like_special_tokens_are_ordinary_words():
    tokenizer = train("word", ["a </s> b <pad> c"], min_frequency=1)
    assert set(tokenizer.encode(["a </s> b <pad> c"])[0]).isdisjoint({PAD, UNK, BOS, EOS})


# ── All kinds ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_the_special_tokens_are_the_first_four(kind):
    tokenizer = train(kind)
    assert [tokenizer.tokenizer.token_to_id(token) for token in SPECIAL] == [PAD, UNK, BOS, EOS] == [0, 1, 2, 3]


@pytest.mark.parametrize("max_known_words", [3, 100_000])
@pytest.mark.parametrize("kind", [*KINDS, "byte"])
def test_the_ids_of_a_text_are_those_of_its_words(kind, max_known_words, monkeypatch):
    monkeypatch.setattr("tasks.common.text.tokenizer.MAX_KNOWN_WORDS", max_known_words)
    texts = [*NASTY, *random_strings(300), "", " ", " a", "a ", "a  b", "▁a ▁", "x" * 2500 + " b", "ΟΔΟΣ ΣΑΣ"]
    for lowercase in (False, True):
        tokenizer = train(kind, [*CORPUS, *NASTY], lowercase=lowercase, min_frequency=1)
        for start in range(0, len(texts), 50):
            assert tokenizer.encode(texts[start : start + 50]) == tokenizer.encode_whole(texts[start : start + 50])


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_restored_from_json_gives_the_same_ids(kind):
    tokenizer = train(kind)
    restored = Tokenizer.from_state_dict(json.loads(json.dumps(tokenizer.state_dict())))
    assert restored.state_dict() == tokenizer.state_dict()
    assert restored.encode(NASTY) == tokenizer.encode(NASTY)
    assert round_trip(restored, NASTY) == round_trip(tokenizer, NASTY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_has_its_size_at_most_when_the_alphabet_fits(kind):
    words = random.Random(1).choices([a + b + c for a in "abcde" for b in "fghij" for c in "klmno"], k=2000)
    small, large = (len(train(kind, [" ".join(words)], size=size)) for size in (290, 330))
    assert small <= 290
    assert large <= 330
    assert kind != "bpe" or (small, large) == (290, 330)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_has_its_size_at_most_when_the_alphabet_alone_is_larger(kind):
    generator = random.Random(1)
    texts = ["".join(chr(generator.randrange(0x4E00, 0x4E00 + 300)) for _ in range(30)) for _ in range(100)]
    assert len(train(kind, texts, size=300)) <= 300


@pytest.mark.parametrize("kind, sure", [("bpe", "·dog"), ("word", "·dog"), ("character", "d")])
def test_entries_rarer_than_min_frequency_do_not_exist(kind, sure):
    tokenizer = train(kind, ["dog"] * 3 + ["xylophone"] * 2, min_frequency=3)
    tokens = tokenizer.display_tokens(range(len(tokenizer)))
    assert sure in tokens
    assert not any("yl" in token or "·x" in token for token in tokens)
    assert kind == "bpe" or "y" not in tokens


@pytest.mark.parametrize("kind", KINDS)
def test_only_lowercase_ignores_case(kind):
    assert round_trip(train(kind, lowercase=True, min_frequency=1), ["A SMALL Red"]) == ["a small red"]
    texts = ["A SMALL Red", "a small red"]
    upper, lower = train(kind, texts * 2).encode(texts)
    assert upper != lower


# ── BPE-dropout ─────────────────────────────────────────────────────────────────────────────────────────────


def test_bpe_dropout_splits_differently_decodes_equally_and_is_off_afterwards():
    tokenizer, texts = train("bpe"), CORPUS * 3
    whole = tokenizer.encode(texts)
    dropped = tokenizer.encode(texts, dropout=0.5)
    assert dropped != whole
    assert sum(map(len, dropped)) > sum(map(len, whole))
    assert [tokenizer.decode(ids) for ids in dropped] == texts
    assert tokenizer.encode(texts) == whole
    assert Tokenizer.from_state_dict(tokenizer.state_dict()).encode(texts) == whole


def test_sentences_get_bos_and_eos_and_are_padded():
    assert add_bos_eos([7, 8]) == [BOS, 7, 8, EOS]
    assert torch.equal(pad_ids([[7], [7, 8, 9]]), torch.tensor([[7, PAD, PAD], [7, 8, 9]]))


# ── Errors ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "bpe", "size": 260},
        {"kind": "unigram", "size": 100},
        {"kind": "word", "size": 4},
        {"kind": "character", "size": -1},
        {"kind": "bpe", "dropout": 1.0},
        {"kind": "bpe", "dropout": -0.1},
        {"kind": "unigram", "dropout": 0.1},
        {"kind": "word", "dropout": 0.1},
        {"kind": "word", "min_frequency": -1},
    ],
    ids=str,
)
def test_illegal_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"^vocabulary\.(size|dropout|min_frequency) is "):
        VocabularyConfig(**settings)


@pytest.mark.parametrize("kind", ["word", "character"])
@pytest.mark.parametrize("texts", [[], ["once"]], ids=["no text", "too rare"])
def test_texts_without_entries_are_refused(kind, texts):
    with pytest.raises(UsageError, match=r"vocabulary\.min_frequency from 5"):
        train(kind, texts, min_frequency=5)


# ── Shared and separate, in the translation task ────────────────────────────────────────────────────────────


def fitted_task(shared: bool, embedding: int = 8) -> Task:
    vocabulary = VocabularyConfig(kind="word", size=100, shared=shared, min_frequency=1)
    task = Task(
        Config(
            vocabulary=vocabulary,
            encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=4), embedding_dim=embedding),
        )
    )
    task.fit(datasets.Dataset.from_dict({"source": ["ein Hund", "zwei"], "target": ["a dog", "two"]}))
    return task


@pytest.mark.parametrize("shared", [True, False])
def test_translation_restores_shared_and_separate_vocabularies(shared):
    task = fitted_task(shared)
    assert (task.source_tokenizer is task.tokenizer) == shared
    assert (UNK in task.tokenizer.encode(["ein Hund"])[0]) != shared
    restored = Task(task.config)
    restored.load_state_dict(json.loads(json.dumps(task.state_dict())))
    assert (restored.source_tokenizer is restored.tokenizer) == shared
    assert restored.source_tokenizer.encode(["ein Hund"]) == task.source_tokenizer.encode(["ein Hund"])
    assert restored.tokenizer.encode(["a dog"]) == task.tokenizer.encode(["a dog"])


@pytest.mark.parametrize("shared, embedding, one", [(True, 256, True), (True, 8, False), (False, 256, False)])
def test_one_matrix_embeds_both_languages_if_vocabulary_and_dimension_are_shared(shared, embedding, one):
    model = fitted_task(shared, embedding).build_model()
    assert (model.encoder.frontend.embedding is model.decoder.embedding) == one


def test_the_minimum_frequency_is_unused_by_unigram_models():
    assert VocabularyConfig(kind="unigram").unused_settings() == {"min_frequency": "vocabulary.kind is unigram"}
    assert VocabularyConfig(kind="bpe").unused_settings() == {}


@pytest.mark.parametrize("kind", ["bpe", "byte", "unigram"])
def test_the_mark_of_spaces_and_its_escape_are_kept_in_texts(kind):
    trained = Tokenizer.train(["bars like ▁▂▃ are drawn with blocks"] * 5, VocabularyConfig(kind=kind, size=400))
    for text in ("a▁b", "▁", "\ue000", "\ue0001 ▁\ue0000 x"):
        assert trained.decode(trained.encode([text])[0]) == text


@pytest.mark.parametrize("kind", ["bpe", "byte", "unigram", "word", "character"])
def test_characters_of_private_use_are_shown_by_a_mark_that_fonts_have(kind):
    text = "a\ue000 b▁ \uf8ff \U000f1234"
    trained = Tokenizer.train([text] * 5, VocabularyConfig(kind=kind, size=400))
    shown = "".join(trained.display_tokens(trained.encode([text])[0]))
    assert not any(unicodedata.category(character) == "Co" for character in shown)
    assert "◇" in shown
    if kind in ("bpe", "word"):  # the others may spell a character, or its escape, in several tokens
        assert shown.replace("·", "") == "a◇b▁◇◇"
    font = FT2Font(font_manager.findfont("DejaVu Sans"))
    assert all(ord(character) in font.get_charmap() for character in shown)


@pytest.mark.parametrize("kind", ["bpe", "byte"])
def test_a_very_long_word_is_learned_quickly_and_nothing_of_it_is_lost(kind):
    word = "a" * 20_000
    begin = time.perf_counter()
    trained = Tokenizer.train([word, "a short text"] * 2, VocabularyConfig(kind=kind, size=600))
    assert time.perf_counter() - begin < 2
    assert trained.decode(trained.encode([word])[0]) == word
