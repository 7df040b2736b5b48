"""Scenes of the toy world: colored digits, which four languages can describe.

A scene is a meaning; sentences, recordings, images and videos express it:

    Scene((seven,), "above", (two,))  ──►  a small red seven above a large blue two
                                           eine kleine rote Sieben über einer großen blauen Zwei
                                           un petit sept rouge au-dessus d'un grand deux bleu
                                           一个小的红色的七在一个大的蓝色的二上面

The same seed gives the same scenes and sentences in every process.
"""

import functools
import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.common.errors import unknown_name
from tasks.toy_world.grammar import COLORS, GRAMMARS, SIZES, Grammar

if TYPE_CHECKING:
    import datasets

RELATIONS = ("above", "left")  # below and right are the same scenes, described from the other side
NUM_SCENES = {"train": 8000, "validation": 500, "test": 500}  # of each split, by default


@dataclass(frozen=True)
class SceneObject:
    """A digit from 0 to 9, in one of ``COLORS`` and one of ``SIZES``."""

    digit: int
    color: str
    size: str


@dataclass(frozen=True)
class Scene:
    """One object alone, or two or three objects in a relation: ``first`` is above, or to the left of, ``second``.

    Either side may be a pair. A pair lies across the relation, centered on the other side, and is listed in reading
    order: from left to right where the relation is above, from top to bottom where it is left. What is above or left
    comes first, so each arrangement has a single representation: scenes are equal if and only if they look equal. (Two
    pairs would break this: A, B above C, D looks like A, C left of B, D.)
    """

    first: tuple[SceneObject, ...]
    relation: str | None = None
    second: tuple[SceneObject, ...] = ()

    def __post_init__(self) -> None:
        sides = (len(self.first), len(self.second))
        assert sides in {(1, 0), (1, 1), (1, 2), (2, 1)}, f"one to three objects on two sides, got {sides}"
        assert (self.relation in RELATIONS) if self.second else (self.relation is None), self.relation

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """All objects; what is above or left comes first."""
        return self.first + self.second


def split_of_scene(scene: Scene) -> str:
    """Return the only split in which a scene may occur, with any seed: 6/8 train, 1/8 validation, 1/8 test.

    The split depends only on the scene's composition: the multiset of its digits with their colors, without order,
    sizes and relation. So if a red seven and a blue two form a scene of the test split, no training scene consists of
    these two, whichever is above, left, larger or named first.
    """
    composition = ", ".join(sorted(f"{item.color} {item.digit}" for item in scene.objects))
    eighth = hashlib.sha256(composition.encode()).digest()[0] % 8  # hash() differs from process to process
    return {0: "test", 1: "validation"}.get(eighth, "train")


def sample_scenes(split: str, count: int | None = None, seed: int = 1) -> list[Scene]:
    """Sample ``count`` different scenes of a split; a shorter list is the beginning of a longer one.

    No two splits share a composition (see ``split_of_scene``), not even with different seeds.

    Raises:
        UsageError: the split is not one of train, validation and test.
    """
    if split not in NUM_SCENES:
        raise unknown_name("split", split, NUM_SCENES)
    count = NUM_SCENES[split] if count is None else count
    generator = random.Random(f"scenes {split} {seed}")  # a string seeds by SHA-512, not by hash()
    found: dict[Scene, None] = {}  # an ordered set
    while len(found) < count:
        scene = _sample_scene(generator)
        if split_of_scene(scene) == split:
            found[scene] = None
    return list(found)


def _sample_scene(generator: random.Random) -> Scene:
    # There are only 240 scenes of one object, so they are sampled rarely; those of two and three never run out.
    num_objects = generator.choices((1, 2, 3), weights=(2, 58, 40))[0]
    objects = tuple(
        SceneObject(generator.randrange(10), generator.choice(COLORS), generator.choice(SIZES))
        for _ in range(num_objects)
    )
    if num_objects == 1:
        return Scene(objects)
    num_first = generator.randrange(1, num_objects)
    return Scene(objects[:num_first], generator.choice(RELATIONS), objects[num_first:])


def describe(scene: Scene, language: str) -> list[str]:
    """Return all descriptions of a scene: three of an object alone, six of a relation.

    The first one is the plain one. A phrase has neither capital nor full stop, a sentence has both. A relation is
    described by three templates, each from either side ("A above B", "B below A"). The order is the same in all
    languages: ``describe(scene, "de")[n]`` is the translation of ``describe(scene, "en")[n]``.

    Raises:
        UsageError: the language is not "en", "de", "fr" or "zh".
    """
    if language not in GRAMMARS:
        raise unknown_name("language", language, GRAMMARS)
    grammar = GRAMMARS[language]
    if scene.relation is None:
        subject = _noun_phrases(grammar, scene.first)
        return [_capitalize(template.format(subject=subject)) for template in grammar.single_templates]
    forward, backward = grammar.relations[scene.relation]
    sides = ((scene.first, forward, scene.second), (scene.second, backward, scene.first))
    slots = [
        {
            "subject": _noun_phrases(grammar, subject),
            "verb": grammar.verb[len(subject) > 1],
            "relation": relation,
            "place": _noun_phrases(grammar, place, oblique=True),
        }
        for subject, relation, place in sides
    ]
    return [_capitalize(template.format(**words)) for template in grammar.relation_templates for words in slots]


def text_pairs(
    split: str, source: str = "de", target: str = "en", count: int | None = None, seed: int = 1
) -> "datasets.Dataset":
    """Describe scenes in two languages, for translation.

    Returns:
        The columns source, one description of the scene, sampled in the same way for all languages; target, its
        translation, to train on; and references, all descriptions in the target language, the target first, since each
        of them describes the scene correctly.

    Raises:
        UsageError: the split or a language is unknown.
    """
    import datasets

    return datasets.Dataset.from_dict(
        describe_pairs(split, source, target, NUM_SCENES.get(split) if count is None else count, seed)
    )


@functools.lru_cache(maxsize=8)
def describe_pairs(split: str, source: str, target: str, count: int | None, seed: int) -> dict[str, list]:
    """Make the columns of ``text_pairs``; kept, since a search loads the same data for each of its trials."""
    generator = random.Random(f"paraphrases {split} {seed}")
    columns: dict[str, list] = {"source": [], "target": [], "references": []}
    for scene in sample_scenes(split, count, seed):
        sources, others = describe(scene, source), describe(scene, target)
        index = generator.randrange(len(sources))
        translation = others.pop(index)
        columns["source"].append(sources[index])
        columns["target"].append(translation)
        columns["references"].append([translation, *others])
    return columns


def _noun_phrases(grammar: Grammar, objects: tuple[SceneObject, ...], oblique: bool = False) -> str:
    return grammar.conjunction.join(grammar.noun_phrase(item.digit, item.color, item.size, oblique) for item in objects)


def _capitalize(text: str) -> str:
    return text[0].upper() + text[1:] if text.endswith(".") else text
