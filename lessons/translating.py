"""Translations of a trained model, and how right they are."""

from collections.abc import Iterable
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rapidfuzz.distance import Levenshtein

from decoders.config import SearchConfig
from lessons.toy_text import ToyLists
from lessons.training import prepare, train
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.translation.config import TranslationConfig

if TYPE_CHECKING:
    import datasets

GREEDY = SearchConfig(beam=1)
WORDS_PER_GROUP = 4


def train_translator(
    config: TranslationConfig, num_pairs: int, num_objects: range, num_epochs: int, seed: int = 1
) -> tuple[ToyLists, Seq2Seq]:
    """Train a translator of lists, see ``ToyLists``; return the task and the model."""
    task = ToyLists(config, num_pairs, num_objects)
    examples, model = prepare(task, seed)
    train(task, model, examples, num_epochs=num_epochs, seed=seed)
    return task, model


def generate(task: Task[Any], model: Seq2Seq, sources: list[Any]) -> list[str]:
    """Return the sentence that greedy search finds for each source."""
    ranked = Predictor(task, [model]).generate_all(sources, task.source_lengths(sources), GREEDY)
    return [task.detokenize(best.tokens) for best, *_ in ranked]


def words_right(hypothesis: str, reference: str) -> float:
    """Return the share of words that are right and in the right order, 0 to 1: one minus the normalized edit distance.

    The distance is divided by the number of words in the longer of the two.
    """
    return Levenshtein.normalized_similarity(hypothesis.split(), reference.split())


def score(task: Task[Any], model: Seq2Seq, examples: "datasets.Dataset") -> list[tuple[int, float]]:
    """Translate examples, and return the words of each source and the share of words that are right."""
    sources = examples["source"][:]
    hypotheses = generate(task, model, sources)
    pairs = zip(sources, hypotheses, examples["target"], strict=True)
    return [(len(source.split()), words_right(hypothesis, target)) for source, hypothesis, target in pairs]


def percent_right(task: Task[Any], model: Seq2Seq, examples: "datasets.Dataset") -> float:
    """Translate examples, and return the mean percentage of words that are right."""
    return 100 * fmean(right for _, right in score(task, model, examples))


def percent_by_length(scores: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the mean percentage of words that are right, of sources of 1 to 4 words, 5 to 8, and so on.

    Args:
        scores: The words of each source and the share of words that are right, as ``score`` returns them.

    Returns:
        The percentages by the largest length of each group, in order.
    """
    groups: dict[int, list[float]] = {}
    for length, right in scores:
        groups.setdefault(-(-length // WORDS_PER_GROUP) * WORDS_PER_GROUP, []).append(100 * right)
    return {length: fmean(groups[length]) for length in sorted(groups)}


def name_group(length: int) -> str:
    """Return the range of lengths of a group of ``percent_by_length``."""
    return f"{length - WORDS_PER_GROUP + 1}-{length}"
