"""The embedded world: little scenes of coloured digits that four languages can describe.

A scene is what is *meant*; a sentence, a voice, a picture and a video are only ways to put it:

    Scene((seven,), "above", (two,))  ──►  a small red seven above a large blue two
                                           eine kleine rote Sieben über einer großen blauen Zwei
                                           un petit sept rouge au-dessus d'un grand deux bleu
                                           一个小的红色的七在一个大的蓝色的二上面

Nothing is downloaded, and the same seed gives the same scenes and sentences in every process.
"""

import hashlib
import random
from dataclasses import dataclass

from datasets import Dataset

from tasks.common.errors import unknown_name
from tasks.toy_world.grammar import COLORS, GRAMMARS, SIZES, Grammar

RELATIONS = ("above", "left")  # below and right are the same scenes, told from the other side
COUNTS = {"train": 8000, "validation": 500, "test": 500}  # the splits, and how many scenes each has by default


@dataclass(frozen=True)
class SceneObject:
    """A digit from 0 to 9 in one of `COLOURS` and one of `SIZES`."""

    digit: int
    color: str
    size: str


@dataclass(frozen=True)
class Scene:
    """One thing alone, or two or three of them: `first` is above, or left of, `second`.

    Either side may be a pair. A pair lies across the relation, centred on the other side, and is told in reading
    order: side by side, left one first, where the relation is above; one over the other, upper one first, where
    it is left. Since what is above or left comes first, a scene has one spelling only: equal means looks equal.
    (Two pairs would break this: A, B above C, D looks like A, C left of B, D.)
    """

    first: tuple[SceneObject, ...]
    relation: str | None = None
    second: tuple[SceneObject, ...] = ()

    def __post_init__(self) -> None:
        sides = (len(self.first), len(self.second))
        assert sides in {(1, 0), (1, 1), (1, 2), (2, 1)}, f"one to three things in two sides, got {sides}"
        assert (self.relation in RELATIONS) if self.second else (self.relation is None), self.relation

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """All things, what is above or left first."""
        return self.first + self.second


def split_by_hash(scene: Scene) -> str:
    """The only split in which `scene` may occur, whatever the seed: 6/8 train, 1/8 validation, 1/8 test.

    It hangs on the scene's *composition* alone: the multiset of its digits with their colours, no matter their
    order, sizes and relation. So if a red seven meets a blue two in the test split, no training scene consists
    of these two, whichever is above, left, larger or named first.
    """
    composition = ", ".join(sorted(f"{thing.color} {thing.digit}" for thing in scene.objects))
    eighth = hashlib.sha256(composition.encode()).digest()[0] % 8  # hash() would differ from process to process
    return {0: "test", 1: "validation"}.get(eighth, "train")


def scenes(split: str, count: int | None = None, seed: int = 1) -> list[Scene]:
    """`count` scenes of a split, all different; a shorter list is the beginning of a longer one.

    No two splits share a composition (see `split_of`), not even under different seeds.

    Raises:
        UsageError: the split is not one of train, validation and test.
    """
    if split not in COUNTS:
        raise unknown_name("split", split, COUNTS)
    count = COUNTS[split] if count is None else count
    generator = random.Random(f"scenes {split} {seed}")  # a string seeds through SHA-512, not through hash()
    found: dict[Scene, None] = {}  # a set that keeps its order
    while len(found) < count:
        scene = _draw(generator)
        if split_by_hash(scene) == split:
            found[scene] = None
    return list(found)


def _draw(generator: random.Random) -> Scene:
    # There are but 240 scenes of one thing, so they are drawn rarely; those of two and three never run out.
    number = generator.choices((1, 2, 3), weights=(2, 58, 40))[0]
    objects = tuple(
        SceneObject(generator.randrange(10), generator.choice(COLORS), generator.choice(SIZES)) for _ in range(number)
    )
    if number == 1:
        return Scene(objects)
    cut = generator.randrange(1, number)
    return Scene(objects[:cut], generator.choice(RELATIONS), objects[cut:])


def describe(scene: Scene, language: str) -> list[str]:
    """All descriptions of a scene in "en", "de", "fr" or "zh": three of a thing alone, six of a relation.

    The first one is the plain one. A bare phrase has neither capital nor full stop, a sentence has both. A
    relation is told in three frames, each of them from either side ("A above B", "B below A"). The order is the
    same in all languages: `describe(scene, "de")[n]` translates `describe(scene, "en")[n]`.

    Raises:
        UsageError: the language is not one of the four.
    """
    if language not in GRAMMARS:
        raise unknown_name("language", language, GRAMMARS)
    grammar = GRAMMARS[language]
    if scene.relation is None:
        subject = _phrase(grammar, scene.first)
        return [_capitalise(frame.format(subject=subject)) for frame in grammar.alone]
    onward, backward = grammar.relations[scene.relation]
    views = [
        {
            "subject": _phrase(grammar, subject),
            "verb": grammar.verb[len(subject) > 1],
            "relation": relation,
            "place": _phrase(grammar, place, oblique=True),
        }
        for subject, relation, place in ((scene.first, onward, scene.second), (scene.second, backward, scene.first))
    ]
    return [_capitalise(frame.format(**view)) for frame in grammar.related for view in views]


def text_pairs(split: str, source: str = "de", target: str = "en", count: int | None = None, seed: int = 1) -> Dataset:
    """Scenes told in two languages, for translation.

    Columns: `source`, one description of the scene, drawn by the seed, the same one in all languages; `target`,
    its translation, to train on; `references`, all descriptions in the target language, `target` first: each
    tells the scene, so each counts as right.

    Raises:
        UsageError: an unknown split or language.
    """
    generator = random.Random(f"paraphrases {split} {seed}")
    columns: dict[str, list] = {"source": [], "target": [], "references": []}
    for scene in scenes(split, count, seed):
        sources, others = describe(scene, source), describe(scene, target)
        chosen = generator.randrange(len(sources))
        translation = others.pop(chosen)
        columns["source"].append(sources[chosen])
        columns["target"].append(translation)
        columns["references"].append([translation, *others])
    return Dataset.from_dict(columns)


def _phrase(grammar: Grammar, objects: tuple[SceneObject, ...], oblique: bool = False) -> str:
    return grammar.conjunction.join(
        grammar.noun_phrase(thing.digit, thing.color, thing.size, oblique) for thing in objects
    )


def _capitalise(text: str) -> str:
    return text[0].upper() + text[1:] if text.endswith(".") else text
