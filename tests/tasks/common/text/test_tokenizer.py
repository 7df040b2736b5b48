"""Vocabularies: nothing is lost on the way to tokens and back, and what is configured holds."""

import json
import random

import datasets
import pytest
import torch

from decoders.base import BOS, EOS, PAD, UNK
from encoders.config import RecurrentEncoderConfig
from tasks.common.errors import UsageError
from tasks.common.text.tokenizer import SPECIAL, Tokenizer, VocabularyConfig, add_bos_eos, pad_ids
from tasks.common.text_task import TextEncoderConfig
from tasks.translation import Config, Task

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
    """Any characters of any planes, spaces often, without what must not be: the mark, surrogates, outer spaces."""
    draw = random.Random("strings")
    planes = [(0x20, 0x7F), (0xA0, 0x250), (0x4E00, 0x9FFF), (0x1F300, 0x1F700), (0, 0x110000), (0x20, 0x21)]
    strings = []
    while len(strings) < count:
        points = [draw.randrange(*draw.choice(planes)) for _ in range(draw.randrange(1, 25))]
        text = "".join(chr(point) for point in points if point != 0x2581 and not 0xD800 <= point < 0xE000).strip()
        strings += [text] if text else []
    return strings


def train(kind: str, texts: list[str] = CORPUS, **settings) -> Tokenizer:
    return Tokenizer.train(texts, VocabularyConfig(kind=kind, **{"size": 400, **settings}))


def there_and_back(vocabulary: Tokenizer, texts: list[str], dropout: float = 0.0) -> list[str]:
    return [vocabulary.decode(ids) for ids in vocabulary.encode(texts, dropout)]


# ── Subwords lose nothing ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize("text", NASTY)
def test_subwords_give_any_text_back(kind, text):
    assert there_and_back(train(kind), [text]) == [text]


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_give_random_text_back(kind):
    texts = random_strings(1000)
    assert there_and_back(train(kind), texts) == texts


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_know_no_unknown_and_write_no_special_token_for_text_that_looks_like_one(kind):
    ids = {token for sentence in train(kind).encode([*NASTY, *random_strings(100)]) for token in sentence}
    assert ids.isdisjoint({PAD, UNK, BOS, EOS})


@pytest.mark.parametrize("kind", SUBWORDS)
def test_an_empty_text_has_no_tokens(kind):
    vocabulary = train(kind)
    assert vocabulary.encode([""]) == [[]]
    assert vocabulary.decode([]) == ""


def test_frequent_words_are_one_token_and_rare_ones_several():
    vocabulary = train("bpe", ["the lowest newest widest"] * 5 + ["owl"], size=600)
    frequent, rare = vocabulary.encode(["newest", "wolf"])
    assert len(frequent) == 1
    assert len(rare) > 1


# ── Words and characters ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["word", "character"])
def test_what_was_seen_in_training_comes_back(kind):
    assert there_and_back(train(kind, min_frequency=1), CORPUS) == CORPUS


def test_words_are_cut_at_spaces_and_punctuation_and_chinese_at_every_character():
    vocabulary = train("word", ["the dog, the cat.", "我们看到 the dog"], min_frequency=1)
    assert vocabulary.display_tokens(vocabulary.encode(["the cat, 我们"])[0]) == ["·the", "·cat", ",", "·", "我", "们"]


def test_characters_are_cut_everywhere():
    vocabulary = train("character", ["abc 我们"], min_frequency=1)
    assert vocabulary.display_tokens(vocabulary.encode(["ab 们"])[0]) == [*"·ab·们"]


@pytest.mark.parametrize("kind, text, count", [("word", "the zebra", 1), ("character", "zoo", 1)])
def test_what_was_never_seen_is_unknown(kind, text, count):
    vocabulary = train(kind, ["the dog chased four cats"], min_frequency=1)
    assert vocabulary.encode([text])[0].count(UNK) == count


def test_words_that_look_like_special_tokens_are_not_them():
    vocabulary = train("word", ["a </s> b <pad> c"], min_frequency=1)
    assert set(vocabulary.encode(["a </s> b <pad> c"])[0]).isdisjoint({PAD, UNK, BOS, EOS})


# ── What holds for every kind ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_the_special_tokens_are_the_first_four(kind):
    vocabulary = train(kind)
    assert [vocabulary.tokenizer.token_to_id(token) for token in SPECIAL] == [PAD, UNK, BOS, EOS] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_restored_from_json_gives_the_same_ids(kind):
    vocabulary = train(kind)
    restored = Tokenizer.from_state_dict(json.loads(json.dumps(vocabulary.state_dict())))
    assert restored.state() == vocabulary.state_dict()
    assert restored.encode(NASTY) == vocabulary.encode(NASTY)
    assert there_and_back(restored, NASTY) == there_and_back(vocabulary, NASTY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_has_its_size_at_most_when_the_alphabet_fits(kind):
    words = random.Random(1).choices([a + b + c for a in "abcde" for b in "fghij" for c in "klmno"], k=2000)
    small, large = (len(train(kind, [" ".join(words)], size=size)) for size in (290, 330))
    assert small <= 290
    assert large <= 330
    assert kind != "bpe" or (small, large) == (290, 330)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_has_its_size_at_most_when_the_alphabet_alone_is_larger(kind):
    draw = random.Random(1)
    texts = ["".join(chr(draw.randrange(0x4E00, 0x4E00 + 300)) for _ in range(30)) for _ in range(100)]
    assert len(train(kind, texts, size=300)) <= 300


@pytest.mark.parametrize("kind, sure", [("bpe", "·dog"), ("word", "·dog"), ("character", "d")])
def test_what_is_rarer_than_min_frequency_gets_no_entry(kind, sure):
    vocabulary = train(kind, ["dog"] * 3 + ["xylophone"] * 2, min_frequency=3)
    pieces = vocabulary.display_tokens(range(len(vocabulary)))
    assert sure in pieces
    assert not any("yl" in piece or "·x" in piece for piece in pieces)
    assert kind == "bpe" or "y" not in pieces


@pytest.mark.parametrize("kind", KINDS)
def test_lowercase_forgets_case_and_nothing_else_does(kind):
    assert there_and_back(train(kind, lowercase=True, min_frequency=1), ["A SMALL Red"]) == ["a small red"]
    texts = ["A SMALL Red", "a small red"]
    upper, lower = train(kind, texts * 2).encode(texts)
    assert upper != lower


# ── BPE-dropout ─────────────────────────────────────────────────────────────────────────────────────────────


def test_bpe_dropout_cuts_differently_reads_the_same_and_is_off_afterwards():
    vocabulary, texts = train("bpe"), CORPUS * 3
    whole = vocabulary.encode(texts)
    cut = vocabulary.encode(texts, dropout=0.5)
    assert cut != whole
    assert sum(map(len, cut)) > sum(map(len, whole))
    assert [vocabulary.decode(ids) for ids in cut] == texts
    assert vocabulary.encode(texts) == whole


def test_batches_of_text_are_framed_and_padded():
    assert add_bos_eos([7, 8]) == [BOS, 7, 8, EOS]
    assert torch.equal(pad_ids([[7], [7, 8, 9]]), torch.tensor([[7, PAD, PAD], [7, 8, 9]]))


# ── Mistakes ────────────────────────────────────────────────────────────────────────────────────────────────


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
    with pytest.raises(ValueError, match=r"size|dropout|min.frequency"):
        VocabularyConfig(**settings)


@pytest.mark.parametrize("kind", ["word", "character"])
@pytest.mark.parametrize("texts", [[], ["once"]], ids=["no text", "too rare"])
def test_a_text_without_entries_is_refused(kind, texts):
    with pytest.raises(UsageError, match="min-frequency"):
        train(kind, texts, min_frequency=5)


# ── Shared and separate, in the translation task ────────────────────────────────────────────────────────────


def crop_resize(shared: bool, embedding: int = 8) -> Task:
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
def test_a_translation_restores_its_vocabularies_shared_or_separate(shared):
    task = crop_resize(shared)
    assert (task.source_tokenizer is task.tokenizer) == shared
    assert (UNK in task.tokenizer.encode(["ein Hund"])[0]) != shared
    restored = Task(task.config)
    restored.load_state_dict(json.loads(json.dumps(task.state_dict())))
    assert (restored.source_tokenizer is restored.tokenizer) == shared
    assert restored.source_tokenizer.encode(["ein Hund"]) == task.source_tokenizer.encode(["ein Hund"])
    assert restored.tokenizer.encode(["a dog"]) == task.tokenizer.encode(["a dog"])


@pytest.mark.parametrize("shared, embedding, one", [(True, 256, True), (True, 8, False), (False, 256, False)])
def test_one_matrix_embeds_both_languages_if_vocabulary_and_size_are_shared(shared, embedding, one):
    model = crop_resize(shared, embedding).build_model()
    assert (model.encoder.embedding is model.decoder.embedding) == one
