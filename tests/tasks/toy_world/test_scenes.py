"""Scenes of the toy world: splits are disjoint, seeds determine everyitem, and four grammars are correct."""

import os
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import pytest

from tasks.toy_world.grammar import COLORS, GRAMMARS, SIZES
from tasks.toy_world.scenes import (
    NUM_SCENES,
    RELATIONS,
    Scene,
    SceneObject,
    describe,
    sample_scenes,
    split_of_scene,
    text_pairs,
)

LANGUAGES = ("en", "de", "fr", "zh")
ALL_OBJECTS = [SceneObject(digit, color, size) for digit, color, size in product(range(10), COLORS, SIZES)]
RED_SEVEN = SceneObject(7, "red", "small")
BLUE_TWO = SceneObject(2, "blue", "large")
ORANGE_EIGHT = SceneObject(8, "orange", "medium")
PURPLE_ONE = SceneObject(1, "purple", "small")


@pytest.fixture(scope="module")
def world() -> dict[str, list[Scene]]:
    """Sample all splits with their default sizes."""
    return {split: sample_scenes(split) for split in NUM_SCENES}


def composition(scene: Scene) -> tuple:
    return tuple(sorted((item.digit, item.color) for item in scene.objects))


# ── Splits ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_splits_have_their_number_of_different_scenes(world):
    assert {split: len(found) for split, found in world.items()} == NUM_SCENES
    assert {split: len(set(found)) for split, found in world.items()} == NUM_SCENES


def test_every_split_has_scenes_of_one_two_and_three_objects(world):
    for split, found in world.items():
        assert {len(scene.objects) for scene in found} == {1, 2, 3}, split
        assert {(len(scene.first), scene.relation, len(scene.second)) for scene in found} == {
            (1, None, 0),
            *product((1,), RELATIONS, (1, 2)),
            *product((2,), RELATIONS, (1,)),
        }


@pytest.mark.parametrize("one, other", list(combinations(NUM_SCENES, 2)))
def test_splits_share_no_composition_even_with_other_seeds(world, one, other):
    compositions = {composition(scene) for scene in world[one]}
    assert compositions.isdisjoint(composition(scene) for scene in world[other])
    assert compositions.isdisjoint(composition(scene) for scene in sample_scenes(other, 100, seed=7))


@pytest.mark.parametrize("language", LANGUAGES)
def test_splits_share_no_sentence_described_from_either_side(world, language):
    sentences = {
        split: {sentence for scene in found[:2000] for sentence in describe(scene, language)}
        for split, found in world.items()
    }
    assert all(sentences[one].isdisjoint(sentences[other]) for one, other in combinations(NUM_SCENES, 2))


def test_order_size_and_relation_do_not_change_the_split():
    for one, other in zip(ALL_OBJECTS[::7], ALL_OBJECTS[5::7], strict=False):
        larger = SceneObject(one.digit, one.color, "large")
        variants = [
            Scene((one,), "above", (other,)),
            Scene((other,), "above", (one,)),
            Scene((larger,), "left", (other,)),
        ]
        assert len({split_of_scene(scene) for scene in variants}) == 1


def test_digits_colors_and_sizes_are_sampled_uniformly(world):
    objects = [item for scene in world["train"] for item in scene.objects]
    for attribute, number in (("digit", 10), ("color", len(COLORS)), ("size", len(SIZES))):
        shares = [count / len(objects) for count in Counter(getattr(item, attribute) for item in objects).values()]
        assert len(shares) == number
        assert max(abs(share * number - 1) for share in shares) < 0.1


# ── Seeds ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shorter_list_is_the_beginning_of_a_longer_one_and_seeds_give_other_scenes(world):
    assert sample_scenes("train", 50) == world["train"][:50]
    assert len(set(sample_scenes("test", 50, seed=2)) & set(sample_scenes("test", 50, seed=3))) < 10
    assert sample_scenes("test", 0) == []


def test_another_process_with_another_hash_seed_gives_the_same():
    program = (
        "from tasks.toy_world.scenes import sample_scenes, text_pairs\n"
        "print(sample_scenes('test', 40), text_pairs('test', 'zh', 'fr', 40).to_dict())"
    )
    expected = f"{sample_scenes('test', 40)} {text_pairs('test', 'zh', 'fr', 40).to_dict()}\n"
    for hash_seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"}
        process = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[3],
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        assert process.stdout == expected


# ── Sentences, word by word ─────────────────────────────────────────────────────────────────────────────────

SINGLE = Scene((ORANGE_EIGHT,))
ABOVE = Scene((RED_SEVEN,), "above", (BLUE_TWO,))
LEFT = Scene((PURPLE_ONE, RED_SEVEN), "left", (ORANGE_EIGHT,))
EXPECTED = [
    (SINGLE, "en", ["an orange eight", "Here is an orange eight.", "We see an orange eight."]),
    (
        SINGLE,
        "de",
        ["eine orangefarbene Acht", "Hier ist eine orangefarbene Acht.", "Wir sehen eine orangefarbene Acht."],
    ),
    (SINGLE, "fr", ["un huit orange", "Voici un huit orange.", "Nous voyons un huit orange."]),
    (SINGLE, "zh", ["一个橙色的八", "这里有一个橙色的八。", "我们看到一个橙色的八。"]),
    (
        ABOVE,
        "en",
        [
            "a small red seven above a large blue two",
            "a large blue two below a small red seven",
            "A small red seven stands above a large blue two.",
            "A large blue two stands below a small red seven.",
            "Above a large blue two stands a small red seven.",
            "Below a small red seven stands a large blue two.",
        ],
    ),
    (
        ABOVE,
        "de",
        [
            "eine kleine rote Sieben über einer großen blauen Zwei",
            "eine große blaue Zwei unter einer kleinen roten Sieben",
            "Eine kleine rote Sieben steht über einer großen blauen Zwei.",
            "Eine große blaue Zwei steht unter einer kleinen roten Sieben.",
            "Über einer großen blauen Zwei steht eine kleine rote Sieben.",
            "Unter einer kleinen roten Sieben steht eine große blaue Zwei.",
        ],
    ),
    (
        ABOVE,
        "fr",
        [
            "un petit sept rouge au-dessus d'un grand deux bleu",
            "un grand deux bleu au-dessous d'un petit sept rouge",
            "Un petit sept rouge se trouve au-dessus d'un grand deux bleu.",
            "Un grand deux bleu se trouve au-dessous d'un petit sept rouge.",
            "Au-dessus d'un grand deux bleu se trouve un petit sept rouge.",
            "Au-dessous d'un petit sept rouge se trouve un grand deux bleu.",
        ],
    ),
    (
        ABOVE,
        "zh",
        [
            "一个小的红色的七在一个大的蓝色的二上面",
            "一个大的蓝色的二在一个小的红色的七下面",
            "一个小的红色的七位于一个大的蓝色的二的上面。",
            "一个大的蓝色的二位于一个小的红色的七的下面。",
            "一个大的蓝色的二上面有一个小的红色的七。",
            "一个小的红色的七下面有一个大的蓝色的二。",
        ],
    ),
    (
        LEFT,
        "en",
        [
            "a small purple one and a small red seven to the left of an orange eight",
            "an orange eight to the right of a small purple one and a small red seven",
            "A small purple one and a small red seven stand to the left of an orange eight.",
            "An orange eight stands to the right of a small purple one and a small red seven.",
            "To the left of an orange eight stand a small purple one and a small red seven.",
            "To the right of a small purple one and a small red seven stands an orange eight.",
        ],
    ),
    (
        LEFT,
        "de",
        [
            "eine kleine lila Eins und eine kleine rote Sieben links von einer orangefarbenen Acht",
            "eine orangefarbene Acht rechts von einer kleinen lila Eins und einer kleinen roten Sieben",
            "Eine kleine lila Eins und eine kleine rote Sieben stehen links von einer orangefarbenen Acht.",
            "Eine orangefarbene Acht steht rechts von einer kleinen lila Eins und einer kleinen roten Sieben.",
            "Links von einer orangefarbenen Acht stehen eine kleine lila Eins und eine kleine rote Sieben.",
            "Rechts von einer kleinen lila Eins und einer kleinen roten Sieben steht eine orangefarbene Acht.",
        ],
    ),
    (
        LEFT,
        "fr",
        [
            "un petit un violet et un petit sept rouge à gauche d'un huit orange",
            "un huit orange à droite d'un petit un violet et d'un petit sept rouge",
            "Un petit un violet et un petit sept rouge se trouvent à gauche d'un huit orange.",
            "Un huit orange se trouve à droite d'un petit un violet et d'un petit sept rouge.",
            "À gauche d'un huit orange se trouvent un petit un violet et un petit sept rouge.",
            "À droite d'un petit un violet et d'un petit sept rouge se trouve un huit orange.",
        ],
    ),
    (
        LEFT,
        "zh",
        [
            "一个小的紫色的一和一个小的红色的七在一个橙色的八左边",
            "一个橙色的八在一个小的紫色的一和一个小的红色的七右边",
            "一个小的紫色的一和一个小的红色的七位于一个橙色的八的左边。",
            "一个橙色的八位于一个小的紫色的一和一个小的红色的七的右边。",
            "一个橙色的八左边有一个小的紫色的一和一个小的红色的七。",
            "一个小的紫色的一和一个小的红色的七右边有一个橙色的八。",
        ],
    ),
]


@pytest.mark.parametrize("scene, language, expected", EXPECTED)
def test_a_scene_is_described_as_a_native_speaker_would(scene, language, expected):
    assert describe(scene, language) == expected


# ── Grammar, over everyitem ────────────────────────────────────────────────────────────────────────────────


def every_description(language: str) -> list[str]:
    """Describe every object alone, and on both sides of both relations."""
    alone = [Scene((item,)) for item in ALL_OBJECTS]
    related = [
        Scene((one,), relation, (other,))
        for one, other in zip(ALL_OBJECTS, reversed(ALL_OBJECTS), strict=True)
        for relation in RELATIONS
    ]
    return [sentence for scene in alone + related for sentence in describe(scene, language)]


def test_english_articles_fit_the_next_sound():
    for sentence in every_description("en"):
        assert re.findall(r"\ba [aeiou]|\ban [^aeiou]", sentence.lower()) == []
        assert re.search(r"\ban? ", sentence.lower())


def test_german_adjectives_agree_with_their_article_and_relations_take_the_dative():
    stems = ["klein", "groß", "rot", "orangefarben", "gelb", "grün", "blau", "weiß"]
    for sentence in every_description("de"):
        nouns = re.findall(r"\b([Ee]iner?) ((?:[a-zäöüß]+ )+)([A-Z][a-zäöüß]+)", sentence)
        assert len(nouns) == len(re.findall(r"\beiner?\b", sentence, re.IGNORECASE))
        for article, adjectives, _ in nouns:
            right = {stem + ("en" if article == "einer" else "e") for stem in stems} | {"lila", "rosa"}
            assert right.issuperset(adjectives.split()), sentence
        related = re.findall(r"\b(?:über|unter|von) (\w+)", sentence, re.IGNORECASE)
        assert related == [article for article, _, _ in nouns if article == "einer"]


def test_french_is_masculine_elided_and_puts_the_color_last():
    colors = "rouge|orange|jaune|vert|bleu|violet|rose|blanc"
    digits = "zéro|un|deux|trois|quatre|cinq|six|sept|huit|neuf"
    for sentence in every_description("fr"):
        assert not re.search(r"\b(de|une|la|le) ", sentence)
        objects = re.findall(rf"\b(?:[Uu]n|d'un) (?:petit |grand )?(?:{digits}) (?:{colors})\b", sentence)
        assert len(objects) == len(re.findall(rf"\b(?:{colors})\b", sentence)) >= 1
        related = re.findall(r"(?:-dessus|-dessous|[Àà] gauche|[Àà] droite) d'un\b", sentence)
        assert len(related) == len(objects) - 1


def test_chinese_has_no_spaces_and_a_measure_word_for_every_object():
    for sentence in every_description("zh"):
        assert re.fullmatch(r"[\u4e00-\u9fff]+。?", sentence)
        assert len(re.findall("色的[零一二三四五六七八九]", sentence)) == sentence.count("一个") >= 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_capital_and_full_stop_come_together(world, language):
    for scene in world["test"]:
        phrases = describe(scene, language)
        for sentence in phrases:
            assert sentence == sentence.strip() and "  " not in sentence
            if language != "zh":
                assert sentence[0].isupper() == sentence.endswith(".")
        assert [sentence[-1] in ".。" for sentence in phrases].count(False) == (1 if scene.relation is None else 2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_describes_two_scenes_and_no_scene_has_equal_sentences(world, language):
    sentences = [sentence for scene in world["train"][:2000] for sentence in describe(scene, language)]
    assert len(sentences) == len(set(sentences)) > 10_000 and all(sentences)


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_words_for_all_objects(language):
    assert len({describe(Scene((item,)), language)[0] for item in ALL_OBJECTS}) == len(ALL_OBJECTS) == 240


# ── Translation ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source, target", [("de", "en"), ("fr", "en"), ("zh", "en"), ("en", "zh")])
def test_a_target_is_the_translation_of_its_source_and_references_are_all_descriptions(source, target):
    pairs, chosen = text_pairs("validation", source, target, count=200), Counter()
    assert pairs.column_names == ["source", "target", "references"]
    for scene, pair in zip(sample_scenes("validation", 200), pairs, strict=True):
        index = describe(scene, source).index(pair["source"])
        chosen[index] += 1
        assert pair["target"] == pair["references"][0] == describe(scene, target)[index]
        assert sorted(pair["references"]) == sorted(describe(scene, target))
    assert set(chosen) == set(range(6))


def test_the_same_paraphrase_is_sampled_in_all_languages():
    assert text_pairs("test", "de", "en", 100)["target"] == text_pairs("test", "zh", "en", 100)["target"]


# ── Errors ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_split_or_language_is_an_error_of_one_line():
    with pytest.raises(ValueError, match=r"^unknown split 'dev'; allowed are train, validation, test$"):
        sample_scenes("dev")
    with pytest.raises(ValueError, match=r"^unknown language 'nl'; allowed are en, de, fr, zh$"):
        describe(SINGLE, "nl")
    with pytest.raises(ValueError, match=r"^unknown language 'nl'; allowed are en, de, fr, zh$"):
        text_pairs("test", source="nl", count=1)
    assert tuple(GRAMMARS) == LANGUAGES


@pytest.mark.parametrize(
    "first, relation, second",
    [
        ((), None, ()),
        ((RED_SEVEN, BLUE_TWO), None, ()),
        ((RED_SEVEN,), None, (BLUE_TWO,)),
        ((RED_SEVEN,), "above", ()),
        ((RED_SEVEN,), "below", (BLUE_TWO,)),
        ((RED_SEVEN, BLUE_TWO), "left", (PURPLE_ONE, ORANGE_EIGHT)),
    ],
)
def test_a_scene_without_a_unique_arrangement_is_refused(first, relation, second):
    with pytest.raises(AssertionError):
        Scene(first, relation, second)
