"""Translations of a trained model, and how right they are."""

from typing import TYPE_CHECKING, Any

from rapidfuzz.distance import Levenshtein

from decoders.config import SearchConfig
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Seq2Seq
from tasks.common.task import Task

if TYPE_CHECKING:
    import datasets

GREEDY = SearchConfig(beam=1)


def generate(task: Task[Any], model: Seq2Seq, sources: list[Any]) -> list[str]:
    """Return the most probable sentence for each source, found by greedy search."""
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
